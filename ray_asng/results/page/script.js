// Tables: a click on a header sorts by its column, upwards, downwards, and back to the order of the report.
"use strict";
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
const order = new Map();

function key(row, column, isNumber) {
  const cell = row.cells[column];
  return isNumber ? parseFloat(cell.dataset.n ?? "NaN") : cell.textContent.trim();
}

function compare(first, second, isNumber) {
  return isNumber ? first - second : first.localeCompare(second, "en", { numeric: true });
}

function sortBy(header) {
  const body = header.closest("table").tBodies[0];
  const column = header.cellIndex;
  const isNumber = header.classList.contains("number");
  const direction = NEXT[header.getAttribute("aria-sort")];
  for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction);
  const sign = direction === "descending" ? -1 : 1;
  const keys = new Map(Array.from(body.rows, (row) => [row, key(row, column, isNumber)]));
  const isEmpty = (row) => Number.isNaN(keys.get(row)) || keys.get(row) === "" || keys.get(row) === "—";
  const rows = Array.from(body.rows).sort((first, second) => order.get(first) - order.get(second));
  if (direction !== "none") {
    // What says nothing stands last in both directions.
    rows.sort((first, second) => isEmpty(first) - isEmpty(second) ||
      (isEmpty(first) ? 0 : sign * compare(keys.get(first), keys.get(second), isNumber)));
  }
  body.append(...rows);
}

for (const table of document.querySelectorAll("main table")) {
  Array.from(table.tBodies[0].rows).forEach((row, place) => order.set(row, place));
  for (const button of table.querySelectorAll("th button")) {
    button.title = "Sort by this column";
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }
}

if (window.matchMedia("(max-width: 70rem)").matches) document.querySelector("nav details").open = false;
