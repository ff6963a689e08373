const narrow = window.innerWidth < 640;
for (const [id, plot] of Object.entries(JSON.parse(document.getElementById("plots").textContent))) {
  if (plot === null) continue;
  const {layout} = plot;
  if (narrow) {
    layout.font.size = 11;
    layout.yaxis.tickfont.size = 10;
    if (layout.legend) layout.height += 50;
  } else {
    // One left margin for all, so that a batch stands above itself from plot to plot.
    for (const axis of [layout.yaxis, layout.yaxis2]) if (axis) axis.automargin = false;
    layout.margin.l = 170;
  }
  Plotly.newPlot(id, plot.data, layout, {responsive: true, displayModeBar: false});
}
