document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input[type=search], select")) return;
  event.preventDefault();
  $("search").focus();
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

async function start() {
  const lists = [];
  try {
    lists.push(testQueries(await unpack($("data").textContent)));
    if ($("mined-data")) lists.push(minedQueries(await unpack($("mined-data").textContent)));
  } catch (error) {
    $("failed").textContent = `The queries could not be unpacked (${error.message}). A newer browser can: Chrome 80, `
      + "Firefox 113, Safari 16.4. per_query.csv beside the report holds the figures of every query.";
    $("failed").hidden = false;
    return;
  }
  for (const list of lists) {
    list.$("browser").hidden = false;
    list.look();
    list.follow();
    addEventListener("hashchange", () => list.follow());
  }
}

start();
