// A chart embedded once, redrawn from pushed columns; above and beside it, if the model has any, the controls of a panel.
// The Vega libraries come from the kernel as one message, once a page: nothing is fetched and nothing is stored.
const page = (globalThis.infertco ??= {});

function libraries(model) {
  if (page.embed) return page.embed;
  return new Promise((resolve) => {
    const take = async (message, buffers) => {
      if (message.kind !== "libraries") return;
      model.off("msg:custom", take);
      const url = URL.createObjectURL(new Blob([buffers[0]], {type: "text/javascript"}));
      page.embed ??= (await import(url)).default;
      URL.revokeObjectURL(url);
      resolve(page.embed);
    };
    model.on("msg:custom", take);
    model.send({kind: "libraries"});
  });
}

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const rows = (columns) => {
  const names = Object.keys(columns);
  return (columns[names[0]] ?? []).map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
};

// ------------------------------------------------------------------ the chart

async function chart(model, el) {
  el.textContent = "Loading the chart …";
  const embed = await libraries(model);
  el.textContent = "";
  const {view, finalize} = await embed(el, structuredClone(model.get("spec")), {renderer: "svg", actions: false});
  let busy = false, again = false;
  const drawn = {}; // what each data set holds: one that did not change is not laid out again
  const draw = async () => {
    again = busy;
    if (busy) return;
    busy = true;
    const update = model.get("update");
    for (const [name, columns] of Object.entries(update.data ?? {})) {
      const text = JSON.stringify(columns);
      if (drawn[name] !== text) view.data(name, rows(columns));
      drawn[name] = text;
    }
    for (const [name, value] of Object.entries(update.signals ?? {})) view.signal(name, value);
    await view.runAsync();
    busy = false;
    if (again) draw();
  };
  model.on("change:update", draw);
  await draw();
  return () => { model.off("change:update", draw); finalize(); };
}

// ------------------------------------------------------------------ the controls

const nearest = (stops, value) =>
  stops.reduce((best, stop, i) => (Math.abs(stop - value) < Math.abs(stops[best] - value) || stops[best] === null && stop !== null ? i : best), 0);

function control(model, c) {
  const id = `infertco-${(page.controls = (page.controls ?? 0) + 1)}`;
  const words = `${c.label}. ${c.help}`, tip = `${c.help}\n${c.name}`;
  const moved = () => model.get("moved");
  const set = (value) => {
    const next = {...moved()};
    if (value === c.stops[c.base]) delete next[c.name];
    else next[c.name] = value;
    model.set("moved", next);
    model.save_changes();
    show();
  };
  const label = make("label", {title: tip, htmlFor: id}, c.label);
  const undo = make("button", {type: "button", className: "undo", title: "Back to the base value", "aria-label": `Reset ${c.label}`, onclick: () => set(c.stops[c.base])}, "↺");
  const head = make("div", {className: "head"}, label, undo);
  const node = make("div", {className: `control ${c.kind}`}, head);
  let show;

  if (c.kind === "slider") {
    const typed = make("input", {type: "text", className: "value", title: "Type a value", "aria-label": `${c.label}, typed`, spellcheck: false, autocomplete: "off"});
    const last = c.stops.length - 1;
    const range = make("input", {type: "range", id, min: 0, max: last, step: 1, title: tip, "aria-label": words});
    const place = (at) => `calc(7px + ${at / last} * (100% - 14px))`;
    const track = make("div", {className: "track"}, make("i", {className: "line"}));
    if (c.sourced.length) {
      const sourced = make("i", {className: "sourced", title: `Sourced range: ${c.texts[Math.round(c.sourced[0])]} to ${c.texts[Math.round(c.sourced[1])]}`});
      sourced.style.left = place(c.sourced[0]);
      sourced.style.width = `calc(${(c.sourced[1] - c.sourced[0]) / last} * (100% - 14px))`;
      track.append(sourced);
    }
    const base = make("i", {className: "base", title: `Base: ${c.texts[c.base]}`});
    base.style.left = place(c.base);
    track.append(base, range);
    show = () => {
      const now = c.name in moved() ? moved()[c.name] : c.stops[c.base];
      const at = c.stops.includes(now) ? c.stops.indexOf(now) : nearest(c.stops, now);
      const text = c.stops[at] === now ? c.texts[at] : model.get("update").texts?.[c.name] ?? String(now);
      range.value = at;
      range.setAttribute("aria-valuetext", text);
      if (document.activeElement !== typed) typed.value = text;
      node.classList.toggle("moved", c.name in moved());
    };
    range.oninput = () => set(c.stops[range.valueAsNumber]);
    typed.onfocus = () => {
      const now = c.name in moved() ? moved()[c.name] : c.stops[c.base];
      typed.value = now === null ? "" : String(parseFloat((now / c.factor).toPrecision(6)));
      typed.select();
    };
    typed.onkeydown = (event) => {
      if (event.key === "Enter") {
        const value = parseFloat(typed.value.replace(/[^0-9.eE+-]/g, "")) * c.factor;
        typed.blur();
        if (Number.isFinite(value)) set(parseFloat(value.toPrecision(12)));
        range.focus();
      } else if (event.key === "Escape") { typed.blur(); range.focus(); }
    };
    typed.onblur = () => show();
    head.append(typed);
    node.append(track);
  } else if (c.kind === "toggle") {
    const group = make("div", {className: "choices", role: "radiogroup", "aria-label": words});
    const options = c.stops.map((stop, i) => {
      const input = make("input", {type: "radio", name: id, "aria-label": `${c.label} ${c.texts[i]}`, onchange: () => set(stop)});
      group.append(make("label", {}, input, make("span", {className: i === c.base ? "is-base" : ""}, c.texts[i])));
      return input;
    });
    show = () => {
      const now = c.name in moved() ? moved()[c.name] : c.stops[c.base];
      options.forEach((input, i) => { input.checked = c.stops[i] === now; });
      node.classList.toggle("moved", c.name in moved());
    };
    label.removeAttribute("for");
    node.append(group);
  } else {
    const list = make("select", {id, title: tip, "aria-label": words}, ...c.texts.map((text) => make("option", {}, text)));
    list.onchange = () => set(c.stops[list.selectedIndex]);
    show = () => {
      list.selectedIndex = c.stops.indexOf(c.name in moved() ? moved()[c.name] : c.stops[c.base]);
      node.classList.toggle("moved", c.name in moved());
    };
    node.append(list);
  }
  return {node, show: () => show()};
}

function panel(model, el) {
  const controls = model.get("controls").map((c) => ({group: c.group, ...control(model, c)}));
  const side = make("div", {className: "controls"});
  let group = null;
  for (const c of controls) {
    if (c.group !== group) side.append(make("div", {className: "group"}, (group = c.group)));
    side.append(c.node);
  }
  const save = (name, value) => { model.set(name, value); model.save_changes(); show(); };
  const reset = () => save("moved", {});
  const keep = () => save("kept", model.get("kept") ? null : {...model.get("moved")});
  const copy = async () => {
    const code = model.get("update").code;
    try { await navigator.clipboard.writeText(code); copied.textContent = "Copied"; } catch { copied.textContent = code; }
    setTimeout(() => { copied.textContent = ""; }, 4000);
  };
  const button = (words, action, tip) => make("button", {type: "button", onclick: action, title: tip}, words);
  const resets = button("Reset", reset, "All controls back to the base (R)"), keeps = button("Keep as A", keep, "Freeze this state in grey, to compare (A)");
  const copied = make("span", {className: "copied", role: "status"});
  side.append(make("div", {className: "buttons"}, resets, keeps, button("Copy scenario", copy, "Copy this state as Python")), copied, make("p", {}, model.get("summary")));
  const readout = make("div", {className: "readout", role: "status", "aria-live": "polite"});
  const drawing = make("div", {className: "chart", tabIndex: 0, role: "img"});
  const show = () => {
    controls.forEach((c) => c.show());
    resets.disabled = Object.keys(model.get("moved")).length === 0;
    keeps.textContent = model.get("kept") ? "Clear A" : "Keep as A";
    readout.replaceChildren(...(model.get("update").readout ?? []).map(([kind, words]) => make("span", {className: kind}, words)));
    drawing.setAttribute("aria-label", (model.get("update").signals?.ttl ?? []).join(" ").trim());
  };
  el.append(make("div", {className: "body"}, side, make("div", {className: "view"}, readout, drawing)));
  el.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape" || (event.key === "Enter" && event.shiftKey)) return;
    event.stopPropagation(); // not the notebook's: A would insert a cell
    if (event.target.matches("input[type=text], select")) return;
    if (event.key === "r" || event.key === "R") reset();
    if (event.key === "a" || event.key === "A") keep();
  };
  show();
  model.on("change:update change:moved change:kept", show);
  return [drawing, () => model.off("change:update change:moved change:kept", show)];
}

async function render({model, el}) {
  el.classList.add("infertco");
  for (const [name, value] of Object.entries(model.get("look"))) el.style.setProperty(`--${name}`, value);
  const [drawing, stop] = model.get("controls") ? panel(model, el) : [el.appendChild(make("div", {className: "chart"})), () => {}];
  const leave = await chart(model, drawing);
  return () => { stop(); leave(); };
}

export default {render};
