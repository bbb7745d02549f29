// The two columns. Every text from outside is set with textContent: nothing of it can become markup.
export const $ = (id) => document.getElementById(id);
const AT_FIRST = 10;  // Rows of a search that are shown before someone asks for all.

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function moveWords(moved) {
  return moved > 0 ? ["up", `▲ up ${moved}`] : moved < 0 ? ["down", `▼ down ${-moved}`] : ["", "same place"];
}

// `item`: {place, index, text, score, meter?, move?: [class, words], id?, other?, mark?: [class, words], missing?}
export function row(item) {
  const made = element("li", item.mark && item.mark[0]);
  made.dataset.index = item.index;
  made.append(element("span", "place", item.place));
  const body = element("div", "body");
  if (item.id !== undefined) {
    const head = element("div", "head");
    if (item.mark) head.append(element("span", `mark ${item.mark[0]}`, item.mark[1]));
    head.append(element("span", "id", item.id));
    body.append(head);
  }
  body.append(element("div", "text", item.text), ...more(item));
  made.append(body, element("span", "score", item.score));
  const side = element("div", "side");
  if (item.other) side.append(element("span", "other", item.other));
  if (item.move) side.append(element("span", `move ${item.move[0]}`, item.move[1]));
  made.append(side);
  if (item.meter !== undefined) {
    const meter = element("meter");
    meter.value = item.meter;
    meter.setAttribute("aria-hidden", "true");
    body.append(meter);
  }
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false]]) {
    made.addEventListener(event, () => link(item.index, on));
  }
  return made;
}

function more({ missing = 0, place }) {
  const button = element("button", "more", "Show more");
  button.type = "button";
  button.setAttribute("aria-label", `Show more of passage ${place}`);
  button.setAttribute("aria-expanded", "false");
  const rest = element("span", "missing", missing ? `… and ${missing.toLocaleString("en")} more characters` : "");
  rest.hidden = true;
  button.addEventListener("click", () => {
    const open = button.closest("li").classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Show less" : "Show more";
    button.setAttribute("aria-label", `${button.textContent} of passage ${place}`);
    rest.hidden = !open || !missing;
  });
  return [rest, button];
}

// A button for each text of which not all is seen: that depends on the width.
function fit() {
  for (const item of document.querySelectorAll("#result li:not(.open)")) {
    const text = item.querySelector(".text");
    item.querySelector(".more").hidden = text.scrollHeight <= text.clientHeight;
  }
}

function link(index, on) {
  for (const item of document.querySelectorAll(`li[data-index="${index}"]`)) item.classList.toggle("linked", on);
}

// `view`: {titles: [before, after], before, after: rows, facts, verdict?, short?: whether only the first are shown}
export function show(view) {
  $("before-title").textContent = view.titles[0];
  $("after-title").textContent = view.titles[1];
  $("before").replaceChildren(...view.before.map(row));
  $("after").replaceChildren(...view.after.map(row));
  $("timing").replaceChildren(...Object.entries(view.facts).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    return pair;
  }));
  $("verdict").textContent = view.verdict || "";
  $("verdict").hidden = !view.verdict;
  const long = view.short && view.after.length > AT_FIRST;
  $("all").hidden = !long;
  showAll(!long);
  $("result").hidden = false;
  fit();
  $("result-title").focus({ preventScroll: true });
  $("result").scrollIntoView({ block: "start" });
}

function showAll(open) {
  for (const list of [$("before"), $("after")]) {
    [...list.children].forEach((item, place) => { item.hidden = !open && place >= AT_FIRST; });
  }
  $("all").textContent = open ? `Show the first ${AT_FIRST}` : `Show all ${$("after").children.length}`;
  $("all").setAttribute("aria-expanded", String(open));
  fit();
}

addEventListener("resize", fit);
$("all").addEventListener("click", () => showAll($("all").getAttribute("aria-expanded") !== "true"));
