// Train queries: what mining did with the candidates of each.

function minedQueries(data) {
  const common = new Set(data.common);
  const kinds = { suspicious: (query) => query < data.suspicious, drawn: (query) => query >= data.suspicious };
  const wanted = (query, show) => show === "all" || (kinds[show] ? kinds[show](query) : show in data.counts[query]);
  const front = (query) => ["", data.worst[query] === null ? "–" : data.worst[query].toFixed(3)];
  const order = () => (a, b) => (data.worst[b] ?? -1) - (data.worst[a] ?? -1);
  const named = (source) => ({ first_stage: "the first stage", random: "a random draw" })[source] || source;

  function why(cell) {
    let words = data.reasons[cell.reason];
    if (cell.taken && cell.groups > 1) words += `, in ${cell.taken} of the query's ${cell.groups} groups`;
    if (cell.from && (data.further.length || cell.from.includes("random"))) words += ` (${cell.from.map(named).join(", ")})`;
    return words;
  }

  function numbers(cell) {
    const told = [["first stage", cell.score], ["teacher", cell.teacher], ["round 1's model", cell.model],
      ["similarity to a positive", cell.similarity]].filter(([, value]) => value !== undefined);
    const places = (cell.further || []).map(([rank, score], place) => [data.further[place], rank, score])
      .filter(([, rank]) => rank !== null).map(([name, rank, score]) => `${name}: rank ${rank}, ${score}`);
    return [...told.map(([name, value]) => `${name} ${value}`), ...places];
  }

  function row(cell, matches) {
    const taken = cell.reason === "taken";
    const item = element("li", cell.grade > 0 ? "relevant" : taken ? "taken" : "");
    const head = element("div", "head");
    head.append(element("span", "id", data.docs[cell.doc]));
    const mark = judged(cell.grade ?? null);
    if (mark) head.append(mark);
    if (cell.reason && cell.reason !== "judged_positive") {
      head.append(element("span", taken ? "mark taken" : "why", `${taken ? "● " : "○ "}${why(cell)}`));
    }
    for (const number of numbers(cell)) head.append(element("span", "", number));
    const place = cell.rank || (cell.reason ? "–" : "");
    item.append(element("span", "place", place), head, fill(element("div", "text"), data.passages[cell.doc], matches));
    return item;
  }

  function tell(query) {
    const matches = matcher(data.texts[query], common);
    const counts = Object.entries(data.counts[query]);
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    const rows = data.rows[query];
    $("mined-about").textContent = `${data.ids[query]}: ${rows.length < all ? `${rows.length} of ` : ""}${all} candidates; `
      + counts.map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`).join(", ");
    $("mined-rows").replaceChildren(...rows.map((cell) => row(cell, matches)));
    $("mined-lost").replaceChildren(...data.lost[query].map(([doc, grade]) => row({ doc, grade }, matches)));
    $("mined-lost-part").hidden = !data.lost[query].length;
  }

  return new List("mined-", data, { here: "#mined=", wanted, order, front, tell });
}
