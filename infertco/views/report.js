// Every static chart of the page is replaced by a live one; where that fails, the static one stays.
await Promise.all([400, 600].map(weight => document.fonts.load(weight + " 12px 'Source Sans Pro'")));
for (const chart of document.querySelectorAll(".chart")) {
  const still = chart.querySelector("[role=img]");
  const live = document.createElement("div");
  try {
    await vegaEmbed(live, JSON.parse(chart.querySelector("script").textContent), {renderer: "svg", actions: false});
    still.replaceWith(live);
  } catch (error) {
    console.error(error);
  }
}
