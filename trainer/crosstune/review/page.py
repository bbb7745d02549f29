"""The page: keyboard first, nothing loaded from elsewhere, texts never read as HTML."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>crosstune review</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 17px/1.55 system-ui, sans-serif; margin: 0; color: #222; background: #f5f6f8; }
header { background: #fff; border-bottom: 1px solid #ddd; padding: .8rem 2rem; display: flex; gap: 2rem;
         align-items: center; }
progress { flex: 1; height: .6rem; accent-color: #0072B2; }
main { max-width: 76rem; margin: 1.5rem auto; padding: 0 2rem; }
h1 { font-size: 1.45rem; margin: .2rem 0 1.2rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1.2rem; }
article { background: #fff; border: 1px solid #ddd; border-radius: 8px; padding: 1rem 1.3rem;
          max-height: 55vh; overflow: auto; overflow-wrap: anywhere; }
#positive, #negative { white-space: pre-wrap; }
h2 { font-size: .85rem; font-weight: 600; color: #666; margin: 0 0 .6rem; }
mark { background: #ffe2b8; border-radius: 3px; padding: 0 .1em; }
nav { margin: 1.4rem 0; display: flex; gap: 1rem; justify-content: center; }
button { font: inherit; padding: .6rem 1.5rem; border-radius: 8px; border: 1px solid #bbb; background: #fff;
         cursor: pointer; }
button:hover, button:focus { border-color: #0072B2; }
kbd { background: #eee; border-radius: 4px; padding: 0 .4em; margin-right: .5em; }
#error { color: #b00020; text-align: center; }
@media (max-width: 50rem) { .pair { grid-template-columns: 1fr; } }
</style></head><body>
<header><strong id="count"></strong><progress id="bar" max="1" value="0"></progress>
<span id="estimate"></span></header>
<main><h1 id="query"></h1><div class="pair" id="pair">
<article><h2 id="positive-head"></h2><div id="positive"></div></article>
<article><h2 id="negative-head"></h2><div id="negative"></div></article></div>
<nav id="answers"><button data-verdict="relevant"><kbd>R</kbd>relevant</button>
<button data-verdict="not"><kbd>N</kbd>not relevant</button>
<button data-verdict="unsure"><kbd>U</kbd>unsure</button></nav><p id="error" role="alert"></p></main>
<script>
const tab = sessionStorage.tab ||= Math.random().toString(36).slice(2);
const at = id => document.getElementById(id);
let item = null, busy = false;
const key = word => word.toLowerCase().replace(/[^\\p{L}\\p{N}]/gu, "");
function fill(node, text, other) {
  const known = new Set(other.split(/\\s+/).map(key));
  node.replaceChildren(...text.split(/(\\s+)/).map(part => {
    if (!key(part) || known.has(key(part))) return document.createTextNode(part);
    const mark = document.createElement("mark"); mark.textContent = part; return mark; }));
}
function show(state) {
  const p = state.progress, e = p.false_negatives, percent = x => (100 * x).toFixed(0) + " %";
  item = state.item;
  at("count").textContent = p.done + " of " + p.total + " answered";
  at("bar").max = p.total || 1; at("bar").value = p.done;
  at("estimate").textContent = e ? "false negatives: " + percent(e.share) + " (95 %: " + percent(e.low) +
    " to " + percent(e.high) + ", of " + e.of + " drawn at random)" : "false negatives: no answer yet";
  at("pair").hidden = at("answers").hidden = !item;
  at("pair").style.display = item ? "" : "none"; at("answers").style.display = item ? "" : "none";
  at("query").textContent = item ? item.query : "Nothing is left to review.";
  if (!item) return;
  at("positive-head").textContent = "judged relevant: " + item.positive_id;
  const rank = item.rank ? "rank " + item.rank : "not retrieved";
  at("negative-head").textContent = "is this relevant? " + item.doc_id + ", " + rank;
  fill(at("positive"), item.positive, item.negative); fill(at("negative"), item.negative, item.positive);
}
async function call(path, options) {
  const reply = await fetch(path, options);
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}
async function answer(verdict) {
  if (!item || busy) return;
  busy = true;
  try {
    await call("/answer", {method: "POST", headers: {"Content-Type": "application/json"},
      body: JSON.stringify({query_id: item.query_id, doc_id: item.doc_id, verdict})});
    show(await call("/next?tab=" + tab)); at("error").textContent = "";
  } catch (error) { at("error").textContent = "Not saved: " + error.message; }
  busy = false;
}
document.addEventListener("keydown", e => {
  const verdict = {r: "relevant", n: "not", u: "unsure"}[e.key.toLowerCase()];
  if (verdict && !e.ctrlKey && !e.metaKey && !e.altKey && !e.repeat) answer(verdict); });
document.querySelectorAll("button").forEach(b => b.onclick = () => answer(b.dataset.verdict));
call("/next?tab=" + tab).then(show);
</script></body></html>
"""
