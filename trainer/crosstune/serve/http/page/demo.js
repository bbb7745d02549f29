"use strict";

// Every text from outside is set with textContent: nothing pasted here can become markup.
const $ = (id) => document.getElementById(id);
const EXAMPLE = {
  query: "how do I read a file line by line",
  documents: [
    "Close the file when you are done, or use a with block that closes it for you.",
    "The csv module reads rows, splits them into columns and knows about quoting.",
    "Iterate over the open file object: for line in handle: gives one line at a time.",
    "Sort a list in place with list.sort, or get a new one with sorted.",
    "handle.readlines() returns all lines in a list, which needs memory for the whole file.",
  ],
};

function documents() {
  const text = $("documents").value.replace(/\r\n?/g, "\n");
  const parts = /\n[ \t]*\n/.test(text.trim()) ? text.split(/\n[ \t]*\n+/) : text.split("\n");
  return parts.map((part) => part.trim()).filter((part) => part);
}

function say(message, wrong = false) {
  $("status").textContent = message;
  $("status").classList.toggle("wrong", wrong);
}

function headers() {
  const key = $("key").value.trim();
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

function askForKey() {
  $("key-row").hidden = false;
  $("key").focus();
}

async function loadModels() {
  const response = await fetch("info", { headers: headers() });
  if (response.status === 401) {
    askForKey();
    return false;
  }
  const names = (await response.json()).models.map((model) => model.name);
  $("model").replaceChildren(...names.map((name) => new Option(name)));
  $("model-row").hidden = names.length < 2;
  return true;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function row(place, text, index, result, moved) {
  const item = element("li");
  item.dataset.index = index;
  item.append(element("span", "place", place), element("span", "text", text));
  item.append(element("span", "score", result.relevance_score.toFixed(3)));
  if (moved !== undefined) {
    const meter = element("meter");
    meter.value = result.relevance_score;
    meter.setAttribute("aria-hidden", "true");
    const [className, words] =
      moved > 0 ? ["up", `▲ up ${moved}`] : moved < 0 ? ["down", `▼ down ${-moved}`] : ["", "same place"];
    item.append(meter, element("span", `move ${className}`, words));
  }
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false]]) {
    item.addEventListener(event, () => link(index, on));
  }
  return item;
}

function link(index, on) {
  for (const item of document.querySelectorAll(`li[data-index="${index}"]`)) item.classList.toggle("linked", on);
}

function show(texts, answer, milliseconds, timing) {
  const byIndex = new Map(answer.results.map((result) => [result.index, result]));
  $("before").replaceChildren(...texts.map((text, index) => row(index + 1, text, index, byIndex.get(index))));
  $("after").replaceChildren(
    ...answer.results.map((result, place) =>
      row(place + 1, texts[result.index], result.index, result, result.index - place)));
  const facts = {
    "round trip": `${milliseconds.toFixed(0)} ms`,
    waiting: timing.queue === undefined ? "–" : `${timing.queue} ms`,
    scoring: timing.score === undefined ? "–" : `${timing.score} ms`,
    tokens: answer.usage.total_tokens,
    model: answer.model,
  };
  $("timing").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    return pair;
  }));
  $("result").hidden = false;
  $("result-title").focus({ preventScroll: true });
  $("result").scrollIntoView({ block: "start" });
}

function serverTiming(response) {
  const found = (response.headers.get("server-timing") || "").matchAll(/(\w+);dur=([\d.]+)/g);
  return Object.fromEntries([...found].map((match) => [match[1], match[2]]));
}

async function rank(event) {
  event.preventDefault();
  const texts = documents();
  if (!texts.length) return say("Paste at least one document.", true);
  $("rank").disabled = true;
  say("Ranking …");
  try {
    if (!$("model").value && !(await loadModels())) return say("This service needs an API key.", true);
    const started = performance.now();
    const body = { model: $("model").value, query: $("query").value, documents: texts, return_documents: false };
    const response = await fetch("jina/v1/rerank", {
      method: "POST", headers: headers(), body: JSON.stringify(body) });
    const answer = await response.json();
    if (response.status === 401) askForKey();
    if (!response.ok) return say(answer.detail || `The service answered ${response.status}.`, true);
    show(texts, answer, performance.now() - started, serverTiming(response));
    const moved = answer.results.filter((result, place) => result.index !== place).length;
    say(`${texts.length} documents ranked, ${moved} changed places.`);
  } catch (error) {
    say("The service cannot be reached.", true);
  } finally {
    $("rank").disabled = false;
  }
}

function count() {
  const found = documents().length;
  $("count").textContent = found ? `${found} so far.` : "";
}

$("form").addEventListener("submit", rank);
$("documents").addEventListener("input", count);
$("documents").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("example").addEventListener("click", () => {
  $("query").value = EXAMPLE.query;
  $("documents").value = EXAMPLE.documents.join("\n");
  count();
  $("rank").focus();
});
loadModels().catch(() => say("The service cannot be reached.", true));
