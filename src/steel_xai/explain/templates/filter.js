const cards = [...document.querySelectorAll(".card")];
const buttons = [...document.querySelectorAll("[data-show]")];
function show(kind) {
  let shown = 0;
  for (const card of cards) {
    card.hidden = kind !== "all" && card.dataset[kind] !== "1";
    shown += !card.hidden;
  }
  for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.show === kind);
  document.getElementById("shown").textContent = kind === "all" ? "" : `${shown} shown`;
  document.getElementById("none").hidden = shown > 0 || cards.length === 0;
}
for (const button of buttons) button.addEventListener("click", () => show(button.dataset.show));
function enlarge(strips) { strips.classList.toggle("large"); }
for (const strips of document.querySelectorAll(".strips")) {
  strips.addEventListener("click", () => enlarge(strips));
  strips.addEventListener("keydown", event => { if (event.key === "Enter") enlarge(strips); });
}
