"use strict";

// Every text of the data is set with textContent: nothing in it can become markup.
const $ = (id) => document.getElementById(id);
const BATCH = 100;
const HERE = "#query=";
const WORD = /\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{M}]+|[\p{L}\p{M}]+|\p{N}+/gu;

let data;
let common;
let leaked;
let missed;
let found = [];
let drawn = 0;
let chosen = -1;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const change = (query) => data.after[query] - data.before[query];
const kind = (query) => ({ "+": "better", "=": "equal", "-": "worse" })[data.signs[query]];
const sign = { better: "▲", equal: "●", worse: "▼" };

function moved(query) {
  const value = change(query);
  return `${sign[kind(query)]} ${value > 0 ? "+" : ""}${value.toFixed(3).replace("-0.000", "0.000")}`;
}

// The list: those that match, drawn in batches as it is scrolled.

function look() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter((word) => word);
  const show = $("show").value;
  const order = {
    gain: (a, b) => change(b) - change(a),
    loss: (a, b) => change(a) - change(b),
    change: (a, b) => Math.abs(change(b)) - Math.abs(change(a)),
    after: (a, b) => data.after[a] - data.after[b],
    order: (a, b) => a - b,
  }[$("sort").value];
  found = data.ids.map((_, query) => query).filter((query) => {
    if (show === "leaked" ? !leaked.has(query) : show === "missed" ? !missed.has(query)
      : show !== "all" && kind(query) !== show) return false;
    const text = `${data.ids[query]} ${data.texts[query]}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  found.sort((a, b) => order(a, b) || a - b);
  $("count").textContent = found.length === data.ids.length
    ? `${found.length} queries` : `${found.length} of ${data.ids.length} queries`;
  $("list").replaceChildren();
  $("list").scrollTop = 0;
  drawn = 0;
  draw(BATCH);
  choose(found.length ? 0 : -1, false);
}

function draw(until) {
  const list = $("list");
  for (; drawn < Math.min(until, found.length); drawn += 1) list.append(option(drawn));
}

function option(place) {
  const query = found[place];
  const item = element("div");
  item.id = `option-${place}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  item.setAttribute("aria-setsize", found.length);
  item.setAttribute("aria-posinset", place + 1);
  item.append(
    element("span", `number ${kind(query)}`, moved(query)),
    element("span", "words", data.texts[query]),
    element("span", "ids", data.ids[query]));
  return item;
}

// `byHand`: the reader chose it, so the address names it and the list scrolls to it.
function choose(place, byHand) {
  $(`option-${chosen}`)?.setAttribute("aria-selected", "false");
  chosen = place;
  const list = $("list");
  $("detail").hidden = place < 0;
  if (place < 0) return list.removeAttribute("aria-activedescendant");
  draw(place + BATCH);
  const item = $(`option-${place}`);
  item.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", item.id);
  if (byHand) {
    history.replaceState(null, "", HERE + encodeURIComponent(data.ids[found[place]]));
    const [inner, outer] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
    list.scrollTop += Math.min(0, inner.top - outer.top) + Math.max(0, inner.bottom - outer.bottom);
  }
  tell(found[place]);
}

// One query: both rankings, what is relevant, and the query's words in the passages.

function cells(query) {
  const flat = data.rows[query];
  const rows = [];
  for (let at = 0; at < flat.length; at += 4) {
    rows.push({ doc: flat[at], before: flat[at + 1], after: flat[at + 2], grade: flat[at + 3] });
  }
  return rows;
}

const parts = (word) => [1, 2, 3].filter((cut) => word.length - cut >= 4).map((cut) => word.slice(0, -cut));

function matcher(text) {
  const words = new Set((text.toLowerCase().match(/[\p{L}\p{M}]+|\p{N}+/gu) || []).concat(
    (text.match(WORD) || []).map((word) => word.toLowerCase())));
  const telling = [...words].filter((word) => !common.has(word) && (word.length > 1 || !/[a-z]/.test(word)));
  const known = new Set(telling);
  const starts = new Set(telling.flatMap(parts));
  return (word) => known.has(word) || starts.has(word) || parts(word).some((part) => known.has(part));
}

function fill(node, text, matches) {
  let last = 0;
  for (const match of text.matchAll(WORD)) {
    if (!matches(match[0].toLowerCase())) continue;
    node.append(text.slice(last, match.index), element("mark", "", match[0]));
    last = match.index + match[0].length;
  }
  node.append(text.slice(last));
  return node;
}

function judged(grade) {
  if (grade === null) return null;
  return grade > 0 ? element("span", "mark yes", `✓ relevant, grade ${grade}`)
    : element("span", "mark", "✗ judged not relevant");
}

function row(cell, place, other, otherName, matches) {
  const item = element("li", cell.grade > 0 ? "relevant" : "");
  item.dataset.doc = cell.doc;
  const head = element("div", "head");
  head.append(element("span", "id", data.docs[cell.doc]));
  const mark = judged(cell.grade);
  if (mark) head.append(mark);
  if (other) {
    const by = other - place;
    head.append(element("span", "", by ? `${otherName} ${other}` : "same place"));
  }
  item.append(element("span", "place", place || "–"), head, fill(element("div", "text"), data.passages[cell.doc], matches));
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false]]) {
    item.addEventListener(event, () => link(cell.doc, on));
  }
  return item;
}

function link(doc, on) {
  for (const item of document.querySelectorAll(`li[data-doc="${doc}"]`)) item.classList.toggle("linked", on);
}

function ranked(rows, side, otherSide, otherName, matches) {
  const shown = rows.filter((cell) => cell[side] && (cell[side] <= data.top || cell.grade > 0));
  shown.sort((a, b) => a[side] - b[side]);
  const items = [];
  shown.forEach((cell, index) => {
    if (cell[side] > (index ? shown[index - 1][side] : 0) + 1) items.push(element("li", "gap", "⋯"));
    items.push(row(cell, cell[side], cell[otherSide], otherName, matches));
  });
  if (!items.length) items.push(element("li", "gap", "no results"));
  return items;
}

function tell(query) {
  const rows = cells(query);
  const matches = matcher(data.texts[query]);
  $("query").textContent = data.texts[query];
  $("about").replaceChildren(
    element("span", "", `${data.ids[query]}: ${data.before[query].toFixed(3)} → ${data.after[query].toFixed(3)} `),
    element("span", kind(query), moved(query)),
    element("span", "", leaked.has(query) ? " · equals or nearly equals a train query" : ""));
  $("before-title").textContent = `Before: ${data.names[0]}`;
  $("after-title").textContent = `After: ${data.names[1]}`;
  $("before").replaceChildren(...ranked(rows, "before", "after", "now", matches));
  $("after").replaceChildren(...ranked(rows, "after", "before", "was", matches));
  const lost = rows.filter((cell) => !cell.before && cell.grade > 0);
  $("lost").replaceChildren(...lost.map((cell) => row(cell, 0, 0, "", matches)));
  $("lost-part").hidden = !lost.length;
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const last = found.length - 1;
  const step = {
    ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -found.length, End: found.length,
  }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  choose(Math.max(Math.min(0, last), Math.min(last, chosen + step)), true);
}

function listen() {
  const list = $("list");
  $("search").addEventListener("input", look);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      list.focus();
    }
  });
  $("sort").addEventListener("change", look);
  $("show").addEventListener("change", look);
  $("whole").addEventListener("change", () => $("detail").classList.toggle("whole", $("whole").checked));
  list.addEventListener("keydown", keys);
  list.addEventListener("scroll", () => {
    if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight) draw(drawn + BATCH);
  });
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) choose(Number(item.id.slice("option-".length)), true);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input[type=search], select")) return;
    event.preventDefault();
    $("search").focus();
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
}

async function start() {
  try {
    data = await unpack($("data").textContent);
  } catch (error) {
    $("failed").textContent = `The queries could not be unpacked (${error.message}). A newer browser can: Chrome 80, `
      + "Firefox 113, Safari 16.4. per_query.csv beside the report holds the figures of every query.";
    $("failed").hidden = false;
    return;
  }
  common = new Set(data.common);
  leaked = new Set(data.leaked);
  missed = new Set(data.missed);
  listen();
  $("browser").hidden = false;
  look();
  follow();
  addEventListener("hashchange", follow);
}

// Shows the query that the address names.
function follow() {
  if (!location.hash.startsWith(HERE)) return;
  const place = found.indexOf(data.ids.indexOf(decodeURIComponent(location.hash.slice(HERE.length))));
  if (place < 0) return;
  choose(place, true);
  $("browse").scrollIntoView();
}

start();
