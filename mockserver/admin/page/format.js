// Values as text.

export function statusClass(status) {
  if (status === null) return "none";
  return `s${Math.floor(status / 100)}`;
}

export function timeOf(moment) {
  return /T(\d\d:\d\d:\d\d)(\.\d{1,3})?/.exec(moment)?.slice(1, 3).join("") ?? moment;
}

export function durationText(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${Math.floor(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d`;
}
