"use strict";

// Every text of the data is set with textContent: nothing in it can become markup.
const $ = (id) => document.getElementById(id);
const BATCH = 100;
const WORD = /\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{M}]+|[\p{L}\p{M}]+|\p{N}+/gu;

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

// Queries that are searched, drawn in batches as the list is scrolled, and chosen. `name` begins the ids of its
// elements. `part`: `here`, how the address names one of them; `wanted(query, show)`; `order()`, by what to sort;
// `front(query)`, class and text before it; `tell(query)`, which shows the one chosen.
class List {
  constructor(name, data, part) {
    Object.assign(this, { name, data, part, found: [], drawn: 0, chosen: -1 });
    this.list = this.$("list");
    this.listen();
  }

  $(id) {
    return $(this.name + id);
  }

  look() {
    const words = this.$("search").value.toLowerCase().split(/\s+/).filter((word) => word);
    const show = this.$("show").value;
    const { ids, texts } = this.data;
    this.found = ids.map((_, query) => query).filter((query) => {
      const text = `${ids[query]} ${texts[query]}`.toLowerCase();
      return this.part.wanted(query, show) && words.every((word) => text.includes(word));
    });
    const order = this.part.order();
    this.found.sort((a, b) => order(a, b) || a - b);
    this.$("count").textContent = this.found.length === ids.length
      ? `${ids.length} queries` : `${this.found.length} of ${ids.length} queries`;
    this.list.replaceChildren();
    this.list.scrollTop = 0;
    this.drawn = 0;
    this.draw(BATCH);
    this.choose(this.found.length ? 0 : -1, false);
  }

  draw(until) {
    for (; this.drawn < Math.min(until, this.found.length); this.drawn += 1) this.list.append(this.option(this.drawn));
  }

  option(place) {
    const query = this.found[place];
    const item = element("div");
    item.id = `${this.name}option-${place}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.setAttribute("aria-setsize", this.found.length);
    item.setAttribute("aria-posinset", place + 1);
    const [kind, text] = this.part.front(query);
    item.append(
      element("span", `number ${kind}`, text),
      element("span", "words", this.data.texts[query]),
      element("span", "ids", this.data.ids[query]));
    return item;
  }

  // `byHand`: the reader chose it, so the address names it and the list scrolls to it.
  choose(place, byHand) {
    this.$(`option-${this.chosen}`)?.setAttribute("aria-selected", "false");
    this.chosen = place;
    this.$("detail").hidden = place < 0;
    if (place < 0) return this.list.removeAttribute("aria-activedescendant");
    this.draw(place + BATCH);
    const item = this.$(`option-${place}`);
    item.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", item.id);
    const query = this.found[place];
    if (byHand) {
      history.replaceState(null, "", this.part.here + encodeURIComponent(this.data.ids[query]));
      const [inner, outer] = [item.getBoundingClientRect(), this.list.getBoundingClientRect()];
      this.list.scrollTop += Math.min(0, inner.top - outer.top) + Math.max(0, inner.bottom - outer.bottom);
    }
    this.$("query").textContent = this.data.texts[query];
    this.part.tell(query);
  }

  keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.found.length - 1;
    const step = {
      ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -this.found.length, End: this.found.length,
    }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.choose(Math.max(Math.min(0, last), Math.min(last, this.chosen + step)), true);
  }

  listen() {
    const list = this.list;
    this.$("search").addEventListener("input", () => this.look());
    this.$("search").addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        list.focus();
      }
    });
    for (const id of ["sort", "show"]) this.$(id)?.addEventListener("change", () => this.look());
    const whole = this.$("whole");
    whole.addEventListener("change", () => this.$("detail").classList.toggle("whole", whole.checked));
    list.addEventListener("keydown", (event) => this.keys(event));
    list.addEventListener("scroll", () => {
      if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight) this.draw(this.drawn + BATCH);
    });
    list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(Number(item.id.split("option-")[1]), true);
    });
  }

  // Shows the query that the address names.
  follow() {
    const { here } = this.part;
    if (!location.hash.startsWith(here)) return;
    const query = this.data.ids.indexOf(decodeURIComponent(location.hash.slice(here.length)));
    const place = this.found.indexOf(query);
    if (place < 0) return;
    this.choose(place, true);
    this.$("browse").scrollIntoView();
  }
}

// The query's words in the passages.

const parts = (word) => [1, 2, 3].filter((cut) => word.length - cut >= 4).map((cut) => word.slice(0, -cut));

function matcher(text, common) {
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
