// Elements and text. Text is only ever set as text: nothing that a client sent becomes markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Controls, zero-width characters and changes of direction: they could make text look like something else.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

export function visible(text) {
  return String(text).replace(INVISIBLE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const pending = new Set();

/** Calls each function once, before the next frame is painted, however often it was asked for. */
export function beforeNextFrame(draw) {
  if (pending.size === 0) requestAnimationFrame(drawAll);
  pending.add(draw);
}

function drawAll() {
  const due = [...pending];
  pending.clear();
  for (const draw of due) draw();
}

/** As `draw`, but before a frame, and at most once in so many milliseconds: what comes faster is drawn together. */
export function atMostEvery(ms, draw) {
  let drawnAt = -Infinity;
  let timer = null;
  const drawAndNote = () => {
    drawnAt = performance.now();
    draw();
  };
  const start = () => {
    timer = null;
    beforeNextFrame(drawAndNote);
  };
  return () => {
    timer ??= setTimeout(start, Math.max(0, drawnAt + ms - performance.now()));
  };
}

export function toast(text, kind = "info") {
  const shown = element("p", { class: `toast ${kind}` }, visible(text));
  $("toasts").append(shown);
  while ($("toasts").children.length > 3) $("toasts").firstChild.remove();
  setTimeout(() => shown.remove(), kind === "error" ? 9000 : 3000);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Where the page is not in a secure context there is no clipboard, but a selection can be copied.
    const area = element("textarea", { class: "off-screen", value: text, readOnly: true });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) {
      toast(`The browser did not let the page copy ${what}`, "error");
      return;
    }
  }
  toast(`Copied ${what}`);
}

export function openDialog(dialog) {
  if (!dialog.open) dialog.showModal();
}

export function prepareDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    for (const button of dialog.querySelectorAll("[data-close]")) {
      button.addEventListener("click", () => dialog.close());
    }
    if (dialog.id === "token-dialog") continue;
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
}

/** Resolves to whether the user said yes. */
export function confirmed(title, text, yes) {
  const dialog = $("confirm-dialog");
  setText($("confirm-title"), title);
  setText($("confirm-text"), text);
  setText($("confirm-yes"), yes);
  dialog.returnValue = "";
  openDialog(dialog);
  return new Promise((resolve) => {
    $("confirm-yes").onclick = () => dialog.close("yes");
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
