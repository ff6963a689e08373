// The page's parts are written in index.html; here they are filled with text, never with markup.

export const byId = (id) => document.getElementById(id);
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

/** A new copy of a template's element. */
export const copy = (template) => byId(template).content.firstElementChild.cloneNode(true);

/** Write text into the slots of these names; what stands there already is not touched. */
export function fill(root, texts) {
  for (const [name, text] of Object.entries(texts)) {
    for (const slot of root.querySelectorAll(`[data-fill="${name}"]`)) write(slot, text);
  }
}

export function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Let a list show these items in order; what is shown of an item stays the same element, with its focus. */
export function show(list, template, items, keyOf, fillItem) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let before = null;
  for (const item of items) {
    const key = String(keyOf(item)), element = known.get(key) ?? copy(template);
    known.delete(key);
    element.dataset.key = key;
    const place = before === null ? list.firstElementChild : before.nextElementSibling;
    if (place !== element) list.insertBefore(element, place);
    fillItem(element, item);
    before = element;
  }
  for (const gone of known.values()) gone.remove();
}

/** The rows of a table's body; the first cell heads its row. */
export function rows(table, caption, cells) {
  write(table.querySelector("caption"), caption);
  table.tBodies[0].replaceChildren(...cells.map((row) => {
    const tr = document.createElement("tr");
    tr.append(...row.map((text, i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) cell.scope = "row";
      cell.textContent = text;
      return cell;
    }));
    return tr;
  }));
}

/** The gate's checks. */
export function showChecks(list, checks) {
  show(list, "check", checks, (check) => check.name, (element, check) => {
    element.className = check.passed ? "passed" : "refused";
    write(element.querySelector("b"), `${check.passed ? "✓" : "✕"} ${check.name.replaceAll("_", " ")}`);
    write(element.querySelector("span"), check.text);
  });
}
