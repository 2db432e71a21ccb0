// Elements of the page. Texts are inserted as text, never as HTML: names are chosen by users.

function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function button(text, onclick, attributes = {}) {
  return make("button", { type: "button", onclick, ...attributes }, text);
}

function select(label, options, value, onchange) {
  const choices = options.map(([name, text]) => make("option", { value: name, selected: String(name) === String(value) }, text));
  return make("label", {}, `${label} `, make("select", { onchange: (event) => onchange(event.target.value) }, ...choices));
}

function tableOf(head, rows, numeric = new Set(), classes = "wide") {
  const kind = (at) => (numeric.has(at) ? "number" : null);
  const line = (cells) => make("tr", {}, ...cells.map((cell, at) => make("td", { class: kind(at) }, cell)));
  const titles = head.map((name, at) => make("th", { class: kind(at), scope: "col" }, name));
  const inside = make("table", { class: classes }, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...rows.map(line)));
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, inside);
}

// ---- the tip beside the pointer or the point that the keyboard is at ----

let tip = null;

function showTip(text, x, y) {
  tip ??= document.body.appendChild(make("div", { class: "tip", role: "status", "aria-live": "polite" }));
  tip.textContent = text;
  tip.hidden = false;
  const width = document.documentElement.clientWidth;
  const { offsetWidth, offsetHeight } = tip;
  const left = x + 14 + offsetWidth > width ? Math.max(x - offsetWidth - 14, 4) : x + 14;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${Math.max(y - offsetHeight - 10, 4) + window.scrollY}px`;
}

function hideTip() {
  if (tip) tip.hidden = true;
}

// ---- copying and saving ----

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(make("textarea", { class: "unseen" }, text)); // where the browser has no clipboard
    area.select();
    document.execCommand("copy");
    area.remove();
    from.focus();
  }
  from.textContent = "Copied";
  setTimeout(() => (from.textContent = "Copy"), 1500);
}

function save(name, text, type = "text/csv") {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A spreadsheet runs a text that begins with these as a formula; numbers stand unquoted, in full.
function csv(rows) {
  const cell = (value) => {
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
    const text = String(value ?? "");
    return `"${/^[=+\-@\t\r]/.test(text) ? "'" : ""}${text.replaceAll('"', '""')}"`;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n");
}
