// The page: what is asked, and what is said meanwhile.
import { $, moveWords, show } from "./demo-rows.js";
import * as search from "./demo-search.js";

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
  const info = await response.json();
  const names = info.models.map((model) => model.name);
  $("model").replaceChildren(...names.map((name) => new Option(name)));
  $("model-row").hidden = names.length < 2;
  search.offer(info.search);
  return true;
}

function showRanked(texts, answer, milliseconds, timing) {
  const byIndex = new Map(answer.results.map((result) => [result.index, result]));
  const score = (result) => result.relevance_score.toFixed(3);
  show({
    titles: ["Before: as given", "After: reranked"],
    before: texts.map((text, index) => ({ place: index + 1, index, text, score: score(byIndex.get(index)) })),
    after: answer.results.map((result, place) => ({
      place: place + 1, index: result.index, text: texts[result.index], score: score(result),
      meter: result.relevance_score, move: moveWords(result.index - place) })),
    facts: {
      "round trip": `${milliseconds.toFixed(0)} ms`,
      waiting: timing.queue === undefined ? "–" : `${timing.queue} ms`,
      scoring: timing.score === undefined ? "–" : `${timing.score} ms`,
      tokens: answer.usage.total_tokens,
      model: answer.model,
    },
  });
  const moved = answer.results.filter((result, place) => result.index !== place).length;
  return `${texts.length} documents ranked, ${moved} changed places.`;
}

function serverTiming(response) {
  const found = (response.headers.get("server-timing") || "").matchAll(/(\w+);dur=([\d.]+)/g);
  return Object.fromEntries([...found].map((match) => [match[1], match[2]]));
}

// Path, body, what is said meanwhile, and what shows the answer: by the mode.
function asked() {
  const [model, query] = [$("model").value, $("query").value];
  if (search.searches()) return [...search.request(model, query), search.waiting(), search.answered];
  const texts = documents();
  const body = { model, query, documents: texts, return_documents: false };
  return ["jina/v1/rerank", body, "Ranking …", (...answer) => showRanked(texts, ...answer)];
}

async function submit(event) {
  event.preventDefault();
  if ($("form").ariaBusy === "true") return;  // A button that is disabled would lose the focus.
  $("form").ariaBusy = "true";
  try {
    if (!$("model").value && !(await loadModels())) return say("This service needs an API key.", true);
    if (!search.searches() && !documents().length) return say("Paste at least one document.", true);
    const [path, body, meanwhile, show] = asked();
    say(meanwhile);
    const started = performance.now();
    const response = await fetch(path, { method: "POST", headers: headers(), body: JSON.stringify(body) });
    const answer = await response.json();
    if (response.status === 401) askForKey();
    if (!response.ok) return say(answer.detail || answer.error || `The service answered ${response.status}.`, true);
    say(show(answer, performance.now() - started, serverTiming(response)));
  } catch (error) {
    say("The service cannot be reached.", true);
  } finally {
    $("form").ariaBusy = "false";
  }
}

function count() {
  const found = documents().length;
  $("count").textContent = found ? `${found} so far.` : "";
}

$("form").addEventListener("submit", submit);
$("key").addEventListener("change", () => loadModels().catch(() => say("The service cannot be reached.", true)));
$("modes").addEventListener("change", search.shape);
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
