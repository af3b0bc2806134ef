"use strict";
const box = document.getElementById("search");
const items = [...document.querySelectorAll(".finding, tbody tr")];
const texts = items.map((item) => item.textContent.toLowerCase());
const sections = new Set(items.map((item) => item.closest("section")));
const search = () => {
  const words = box.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  items.forEach((item, index) => {
    item.hidden = !words.every((word) => texts[index].includes(word));
    shown += !item.hidden;
  });
  for (const section of sections) section.hidden = ![...section.querySelectorAll(".finding, tbody tr")].some((item) => !item.hidden);
  box.querySelector("output").value = words.length ? `${shown} of ${items.length}` : "";
};
box.hidden = false;
box.addEventListener("input", search);
box.addEventListener("submit", (event) => event.preventDefault());
search();

for (const commands of document.querySelectorAll(".commands")) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(commands.querySelector("pre").textContent);
    button.textContent = "Copied";
  });
  commands.append(button);
}
