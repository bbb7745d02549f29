// The search over a collection: what `/info` says of it, the query's way, and both orders of the answer.
import { $, element, moveWords, show } from "./demo-rows.js";

const number = (value) => value.toLocaleString("en");
const passages = (count) => `${number(count)} passage${count === 1 ? "" : "s"}`;
let about = null;

export const searches = () => about !== null && document.querySelector("[name=mode]:checked").value === "search";

// `found`: the `search` of `/info`, or null where the service has no collection.
export function offer(found) {
  const first = about === null;
  about = found;
  $("modes").hidden = !found;
  if (!found) return;
  if (first) document.querySelector("[name=mode][value=search]").checked = true;
  const split = found.examples.length ? found.examples[0].split : "";
  $("examples-title").textContent = `Or take a ${split} query of ${found.collection}, drawn at random:`;
  $("chips").replaceChildren(...found.examples.map(({ query }) => {
    const chip = element("button", "chip", query);
    chip.type = "button";
    chip.addEventListener("click", () => {
      $("query").value = query;
      $("form").requestSubmit();
    });
    return chip;
  }));
  shape();
}

// The form as the mode asks for it.
export function shape() {
  const on = searches();
  $("pasted").hidden = $("buttons").hidden = on;
  $("documents").required = !on;
  $("search").hidden = !on;
  $("examples").hidden = !on || !about.examples.length;
  $("intro").textContent = on
    ? `${about.first_stage} searches the ${passages(about.passages)} of ${about.collection}, the model reranks the `
      + `best ${number(about.depth)}. See what it brings to the top.`
    : "Paste a query and the documents your search found, best first. See which ones the model would put on top.";
}

export const waiting = () => `Searching ${passages(about.passages)}, then reranking …`;
export const request = (model, query) => [about.path.slice(1), { model, query }];

// Returns what to say.
export function answered(answer, milliseconds, timing) {
  const found = answer.results;
  if (!found.length) {
    $("result").hidden = true;
    const why = about.first_stage === "BM25" ? ": no word of it stands in the collection" : "";
    return `${about.first_stage} finds no passage for this query${why}. Try other words.`;
  }
  const places = new Map(found.map((result, place) => [result.index, place]));
  const before = [...found].sort((one, other) => one.index - other.index);
  const ms = (value) => (
    value === undefined ? "–" : value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);
  show({
    titles: [`Before: ${about.first_stage}`, `After: reranked by ${answer.model}`],
    before: before.map((result) => ({
      ...common(result),
      place: result.index + 1,
      score: result.first_stage_score.toFixed(2),
      other: `model ${result.relevance_score.toFixed(3)}`,
      move: ["", `now ${places.get(result.index) + 1}`],
    })),
    after: found.map((result, place) => ({
      ...common(result),
      place: place + 1,
      score: result.relevance_score.toFixed(3),
      meter: result.relevance_score,
      other: `${about.first_stage} ${result.first_stage_score.toFixed(2)}`,
      move: moveWords(result.index - place),
    })),
    facts: {
      [about.first_stage]: ms(timing.search),
      waiting: ms(timing.queue),
      reranking: ms(timing.score),
      "round trip": ms(milliseconds),
      tokens: number(answer.tokens),
      ...(answer.cut ? { "passages cut": number(answer.cut) } : {}),
    },
    verdict: verdict(answer, before),
    short: true,
  });
  const moved = found.filter((result, place) => result.index !== place).length;
  return `${passages(found.length)} found and reranked, ${number(moved)} changed places.`;
}

function common(result) {
  const mark = result.grade === null ? undefined
    : result.grade > 0 ? ["good", "✓ relevant"] : ["bad", "✗ not relevant"];
  return {
    index: result.index, id: result.id, text: result.text, mark, missing: result.characters - result.text.length };
}

function verdict(answer, before) {
  const said = [];
  if (answer.judged) said.push(judgement(answer, before));
  if (answer.fused) said.push(`Ordered by the model's and ${about.first_stage}'s scores together, as the export recommends.`);
  if (about.note) said.push(about.note);
  return said.join(" ");
}

function judgement({ judged, results }, before) {
  const seen = judged.split === "train" ? " The model may have learned from it." : "";
  const many = `${passages(judged.relevant)} ${judged.relevant === 1 ? "is" : "are"} judged relevant`;
  const place = (list) => list.findIndex((result) => result.grade > 0) + 1;
  const told = !place(results)
    ? `${many}, and ${judged.relevant === 1 ? "it is not" : "none of them is"} among the ${number(results.length)} that `
      + `${about.first_stage} found: no reranker can bring that back.`
    : `${many}${judged.relevant === 1 ? "" : ", the first of them"}: at place ${place(before)} before, `
      + `${place(results)} after.`;
  return `A ${judged.split} query of the collection.${seen} ${told}`;
}
