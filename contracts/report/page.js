"use strict";
const box = document.getElementById("search");
const items = [...document.querySelectorAll(".finding, tbody tr")];
const texts = items.map((item) => item.textContent.toLowerCase());
const search = () => {
  const words = box.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  items.forEach((item, index) => {
    item.hidden = !words.every((word) => texts[index].includes(word));
    shown += !item.hidden;
  });
  box.querySelector("output").value = words.length ? `${shown} of ${items.length}` : "";
};
box.hidden = false;
box.addEventListener("input", search);
box.addEventListener("submit", (event) => event.preventDefault());
search();
