"use strict";

// Sort a table by a column; what is missing stays last.
for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement;
    const place = header.cellIndex;
    const body = header.closest("table").tBodies[0];
    const first = header.classList.contains("right") ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const order = header.getAttribute("aria-sort") === first ? second : first;
    for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const key = (row) => {
      const text = row.cells[place].dataset.sort;
      return text === undefined || text === "" || isNaN(text) ? text : Number(text);
    };
    const compare = (a, b) => {
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      const sign = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return order === "ascending" ? sign : -sign;
    };
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  });
}

// Enlarge a figure; closing, by button, Esc or a click beside it, gives the focus back.
const dialog = document.getElementById("zoom");
const enlarged = dialog.querySelector("img");
let opener = null;
for (const button of document.querySelectorAll(".zoom")) {
  button.addEventListener("click", () => {
    const image = button.querySelector("img");
    opener = button;
    enlarged.src = image.src;
    enlarged.alt = image.alt;
    enlarged.width = image.width && image.naturalWidth;
    dialog.querySelector(".caption").textContent = button.parentElement.querySelector("figcaption").textContent;
    dialog.showModal();
    dialog.querySelector(".stage").scrollTo(0, 0);
  });
}
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { if (opener) opener.focus(); });

// The contents are folded on a narrow screen, and mark the section that is read.
const contents = document.querySelector(".contents details");
const wide = window.matchMedia("(min-width: 70rem)");
const fold = () => { contents.open = wide.matches; };
fold();
wide.addEventListener("change", fold);
const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id).setAttribute("aria-current", "true");
  }
}, { rootMargin: "-15% 0px -75% 0px" });
for (const id of links.keys()) observer.observe(document.getElementById(id));
