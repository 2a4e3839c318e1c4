/* Draws the graph of the page's data. Names were chosen by others: they only ever become text. */
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const COLOURS = { added: "#1a7f37", removed: "#cf222e", changed: "#bf8700", "first known": "#0969da", same: "#8794a1" };
  const MARKS = { added: "added", removed: "removed", changed: "changed", "first known": "first known since, it may have been there before", same: "as before" };
  const STATES = { there: "recorded", deleted: "deleted", "not recorded": "not recorded, only named by others" };
  const TONES = ["#3b6fb6", "#8a5bb5", "#2f8f83", "#b0643c", "#5d7a2c", "#a8497a", "#4b5f9e", "#7a6a2f"];

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function tone(type) {
    let sum = 0;
    for (const sign of type) sum = (sum * 31 + sign.codePointAt(0)) % 65521;
    return TONES[sum % TONES.length];
  }

  at("title").textContent = data.title;
  at("summary").textContent = data.summary;
  at("only").hidden = !data.compared;
  if (data.compared) {
    for (const mark of ["added", "removed", "changed", "first known"]) {
      const line = element("li", MARKS[mark]);
      line.style.color = COLOURS[mark];
      at("legend").append(line);
    }
  }
  for (const text of data.notes) at("legend").append(element("li", text));

  const cy = cytoscape({
    container: at("graph"),
    minZoom: 0.05,
    maxZoom: 6,
    elements: {
      nodes: data.nodes.map((node) => ({ data: { ...node, tone: tone(node.type), rim: COLOURS[node.mark] } })),
      edges: data.edges.map((edge) => ({ data: { ...edge, line: COLOURS[edge.mark] } })),
    },
    style: [
      { selector: "node", style: { label: "data(label)", "text-wrap": "wrap", "text-max-width": 170, "font-size": 10, "text-valign": "bottom", "text-margin-y": 4, "text-background-color": "#f7f9fb", "text-background-opacity": 0.85, width: 30, height: 30, "background-color": "data(tone)", "border-width": 1, "border-color": "#fff" } },
      { selector: "node[distance = 0]", style: { width: 44, height: 44, "font-weight": "bold", shape: "round-rectangle" } },
      { selector: "node[state = 'not recorded']", style: { "background-opacity": 0.25, "border-color": "#8794a1", "border-style": "dashed" } },
      { selector: "node[state = 'deleted']", style: { "background-opacity": 0.15, "border-color": "#cf222e", "border-width": 2, "border-style": "dotted" } },
      { selector: "node[mark != 'same']", style: { "border-width": 5, "border-color": "data(rim)" } },
      { selector: "edge", style: { width: 1.5, "line-color": "data(line)", "curve-style": "bezier", label: "data(label)", "font-size": 7, color: "#55636f", "text-rotation": "autorotate", "text-opacity": 0 } },
      { selector: "edge[mark = 'removed']", style: { "line-style": "dashed", width: 2.5 } },
      { selector: "edge[mark = 'added']", style: { width: 3 } },
      { selector: "edge[mark = 'first known']", style: { "line-style": "dotted", width: 2.5 } },
      { selector: ".faint", style: { opacity: 0.15 } },
      { selector: "node:selected", style: { "overlay-color": "#1b2733", "overlay-opacity": 0.15 } },
      { selector: "edge.near", style: { "text-opacity": 1, width: 3 } },
    ],
    layout: { name: "preset" },
  });

  function rings() {
    const far = Math.max(0, ...data.nodes.map((node) => node.distance));
    cy.layout({ name: "concentric", concentric: (node) => far - node.data("distance"), levelWidth: () => 1, minNodeSpacing: 70, animate: false }).run();
  }

  function spread() {
    cy.layout({ name: "cose", randomize: false, animate: false, nodeRepulsion: () => 60000, idealEdgeLength: () => 110 }).run();
  }

  const buttons = new Map();

  function show(node) {
    const one = node.data();
    const details = at("details");
    const list = document.createElement("dl");
    const says = [["type", one.type], ["id", one.resource], ["name", one.name], ["account", one.account], ["region", one.region], ["state", STATES[one.state]], ["captured", one.captured], ["version", one.item]];
    if (data.compared) says.push(["compared", MARKS[one.mark]]);
    for (const [term, text] of says) if (text) list.append(element("dt", term), element("dd", text));
    details.replaceChildren(element("h2", one.name || one.resource), list);
    if (one.lines.length) details.append(element("pre", one.lines.join("\n")));
    const related = document.createElement("dl");
    node.connectedEdges().forEach((edge) => {
      const other = edge.connectedNodes().difference(node);
      const mark = edge.data("mark") === "same" ? "" : " (" + MARKS[edge.data("mark")] + ")";
      related.append(element("dt", "related"), element("dd", other.data("name") || other.data("resource")), element("dt", ""), element("dd", edge.data("label") + mark));
    });
    details.append(related);
    cy.elements().removeClass("near");
    node.connectedEdges().addClass("near");
    for (const [id, button] of buttons) button.setAttribute("aria-pressed", String(id === node.id()));
  }

  function choose(node, move) {
    cy.elements().unselect();
    node.select();
    show(node);
    if (move) cy.animate({ center: { eles: node }, duration: 150 });
  }

  function filter() {
    const words = at("find").value.toLowerCase().trim();
    const only = at("differences").checked;
    cy.batch(() => {
      cy.nodes().forEach((node) => {
        const one = node.data();
        const text = [one.name, one.resource, one.type, one.account, one.region].join(" ").toLowerCase();
        const differs = one.mark !== "same" || node.connectedEdges("[mark != 'same']").nonempty();
        const fits = text.includes(words) && (!only || differs);
        node.toggleClass("faint", !fits);
        buttons.get(node.id()).hidden = !fits;
      });
      cy.edges().forEach((edge) => {
        edge.toggleClass("faint", edge.connectedNodes(".faint").nonempty() || (only && edge.data("mark") === "same"));
      });
    });
  }

  cy.nodes().forEach((node) => {
    const one = node.data();
    const button = element("button", one.label.replace("\n", " · "));
    button.type = "button";
    button.className = one.mark.replace(" ", "-");
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => choose(node, true));
    buttons.set(node.id(), button);
    const line = document.createElement("li");
    line.append(button);
    at("list").append(line);
  });
  cy.on("tap", "node", (event) => choose(event.target, false));
  at("fit").addEventListener("click", () => cy.fit(undefined, 30));
  at("rings").addEventListener("click", rings);
  at("spread").addEventListener("click", spread);
  at("find").addEventListener("input", filter);
  at("differences").addEventListener("change", filter);
  rings();
})();
