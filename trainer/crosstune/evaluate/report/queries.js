// The test queries: both rankings of each, and what is relevant.

function testQueries(data) {
  const common = new Set(data.common);
  const leaked = new Set(data.leaked);
  const missed = new Set(data.missed);
  const change = (query) => data.after[query] - data.before[query];
  const kind = (query) => ({ "+": "better", "=": "equal", "-": "worse" })[data.signs[query]];
  const sign = { better: "▲", equal: "●", worse: "▼" };

  function moved(query) {
    const value = change(query);
    return `${sign[kind(query)]} ${value > 0 ? "+" : ""}${value.toFixed(3).replace("-0.000", "0.000")}`;
  }

  const wanted = (query, show) => (show === "leaked" ? leaked.has(query) : show === "missed" ? missed.has(query)
    : show === "all" || kind(query) === show);

  const order = () => ({
    gain: (a, b) => change(b) - change(a),
    loss: (a, b) => change(a) - change(b),
    change: (a, b) => Math.abs(change(b)) - Math.abs(change(a)),
    after: (a, b) => data.after[a] - data.after[b],
    order: (a, b) => a - b,
  })[$("sort").value];

  function cells(query) {
    const flat = data.rows[query];
    const rows = [];
    for (let at = 0; at < flat.length; at += 4) {
      rows.push({ doc: flat[at], before: flat[at + 1], after: flat[at + 2], grade: flat[at + 3] });
    }
    return rows;
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
    for (const item of $("detail").querySelectorAll(`li[data-doc="${doc}"]`)) item.classList.toggle("linked", on);
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
    const matches = matcher(data.texts[query], common);
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

  const front = (query) => [kind(query), moved(query)];
  return new List("", data, { here: "#query=", wanted, order, front, tell });
}
