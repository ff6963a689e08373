// Pipelines: what is in production, how it scores, what drifts, what was decided, and what the loop does.

import {askAnswer, askRetrain, askRollBack} from "./dialogs.js";
import {byId, fill, part, rows, show, showChecks, write} from "./dom.js";
import {draw, redraw} from "./plots.js";
import {Refused, get} from "./service.js";
import {ago, figure, metricName, moment, plural, score} from "./words.js";

const OPEN_AT_FIRST = 3, DECISIONS = 8, MORE_DECISIONS = 100, RETRY_MILLISECONDS = 12_000;
const place = (name) => `/api/v1/pipelines/${encodeURIComponent(name)}`;
const seen = new WeakMap(); // what each pipeline's parts were last shown for
const loop = {awayUntil: 0, said: ""}; // where it was not up it is left alone for a while
const cause = {retrain: "retrain", "roll-back": "rollback", "learn-continuously": "loop", "train-model": "training", "promote-model": "promotion"};

/** Show all pipelines; those that are open with everything that is known of them. */
export async function showPipelines(states, may, told) {
  const begun = states.filter(hasBegun), idle = states.filter((state) => !hasBegun(state));
  byId("no-pipelines").hidden = states.length > 0;
  byId("idle").hidden = idle.length === 0;
  show(byId("idle-list"), "idle-name", idle, (state) => state.name, (element, {name}) => write(element, name));
  show(byId("pipeline-list"), "pipeline", begun, (state) => state.name, (element, state) => {
    if (!element.dataset.known) {
      element.dataset.known = "yes";
      element.querySelector("details").open = begun.indexOf(state) < OPEN_AT_FIRST;
      element.querySelector("details").addEventListener("toggle", () => showWhole(element, element.state, may).then(redraw));
      element.querySelector('[data-do="retrain"]').addEventListener("click", () => askRetrain(state.name, told));
      element.querySelector('[data-do="roll-back"]').addEventListener("click", () => askRollBack(element.state, told));
      element.querySelector('[data-do="older"]').addEventListener("click", () => showOlder(element));
      for (const details of element.querySelectorAll("details.data")) details.addEventListener("toggle", redraw);
    }
    element.state = state;
    showHead(element, state, may);
  });
  await Promise.all([...byId("pipeline-list").children].map((element) => showWhole(element, element.state, may)));
}

const hasBegun = (state) => state.batches > 0 || state.champion !== null;

function showHead(element, state, may) {
  part(element, "actions").hidden = !may("promote");
  const said = [state.champion === null ? "no champion yet" : `version ${state.champion}`];
  if (state.decided) said.push(`last decision ${ago(state.decided)}`);
  if (state.waiting) said.push(`${plural(state.waiting, "file")} waiting`);
  fill(element, {
    name: state.name,
    state: said.join(" · "),
    champion: state.champion === null ? "none yet" : `version ${state.champion}`,
    since: state.since ? `since ${moment(state.since)}` : "the first one goes there by itself",
    batches: state.batches.toLocaleString("en"),
    waiting: state.waiting === null ? "" : state.waiting === 0 ? "nothing waits in the inbox" : `${plural(state.waiting, "file")} waiting in the inbox`,
  });
}

async function showWhole(element, state, may) {
  if (!element.querySelector("details").open) return;
  const stamp = JSON.stringify([state.decided, state.champion, state.since, state.batches]);
  await Promise.all([showRuns(element, state), seen.get(element) === stamp ? null : showPast(element, state)]);
  seen.set(element, stamp);
  for (const time of element.querySelectorAll("time")) write(time, ago(time.dateTime));
}

async function showPast(element, {name}) {
  const limit = window.innerWidth < 640 ? 14 : 50;
  const [scores, drift, plots, {decisions}] = await Promise.all([
    whereKnown(`${place(name)}/scores?limit=${limit}`, {metric: "score", better: "higher", scores: []}),
    get(`${place(name)}/drift?limit=${limit}`),
    whereKnown(`${place(name)}/plots?limit=${limit}`, {scores: null, drift: null}),
    get(`${place(name)}/decisions?limit=${element.decisions ?? DECISIONS}`),
  ]);
  showScores(element, scores, plots.scores);
  showDrift(element, drift, plots.drift);
  show(element.querySelector(".decisions"), "decision", decisions, (d) => `${d.at} ${d.kind}`, showDecision);
  part(element, "decisions").hidden = decisions.length === 0;
  element.querySelector('[data-do="older"]').hidden = element.decisions === MORE_DECISIONS || decisions.length < DECISIONS;
}

async function showOlder(element) {
  element.decisions = MORE_DECISIONS;
  await showPast(element, element.state);
  element.querySelector(".decisions").children[DECISIONS]?.querySelector("time").focus();
}

/** What a route answers; instead of it, where the service has not the pipeline's file yet. */
async function whereKnown(path, instead) {
  try {
    return await get(path);
  } catch (error) {
    if (error instanceof Refused && error.status === 409) return instead;
    throw error;
  }
}

function showScores(element, {metric, better, scores}, plot) {
  const scored = scores.filter((s) => s.score !== null || s.estimated !== null), newest = scored.at(-1);
  const said = (s) => (s.score === null && s.estimated !== null ? `≈ ${score(s.estimated, metric)}` : score(s.score, metric));
  fill(element, {
    metric: metricName(metric),
    score: newest ? said(newest) : "–",
    scored: newest ? `on batch ${newest.batch}; ${better} is better` : "no champion has scored a batch yet",
  });
  part(element, "scores").hidden = plot === null;
  const area = element.querySelector('[data-plot="scores"]');
  area.setAttribute("aria-label", newest ? `${metricName(metric)} over ${plural(scored.length, "batch", "batches")}, on the newest ${said(newest)}` : "no scores yet");
  if (plot) plot.layout = {...plot.layout, height: 340, showlegend: false};
  draw(area, plot);
  const table = element.querySelector('[data-part="scores"] table');
  table.parentElement.setAttribute("aria-label", `Scores of ${element.state.name}`);
  rows(table, `${metricName(metric)} of ${element.state.name} on each batch`, scores.toReversed().map((s) => [
    s.batch, s.name, s.status === "quarantined" ? "quarantined" : said(s), s.champion === null ? "–" : `version ${s.champion}${s.promoted ? ", new" : ""}`,
  ]));
}

function showDrift(element, {batch, drifted, channels}, plot) {
  const far = channels.filter((channel) => channel.drifts);
  fill(element, {
    drift: batch === null ? "–" : drifted ? "found" : "none",
    drifted: batch === null ? "watched from the first champion on" : `${far.length || "none"} of ${plural(channels.length, "channel")} beyond the threshold in batch ${batch}`,
  });
  part(element, "drift-card").classList.toggle("warn", drifted);
  part(element, "drift").hidden = plot === null;
  const area = element.querySelector('[data-plot="drift"]');
  area.setAttribute("aria-label", `drift of ${plural(channels.length, "channel")} over batches; in the newest ${far.length ? far.map((c) => c.name).join(", ") : "none"} beyond the threshold`);
  draw(area, plot);
  const table = element.querySelector('[data-part="drift"] table');
  table.parentElement.setAttribute("aria-label", `Drift of ${element.state.name}`);
  const newest = channels.toSorted((a, b) => (b.ratio ?? -1) - (a.ratio ?? -1)).map((c) => [c, c.distances.at(-1)]);
  rows(table, `Drift of ${element.state.name} in batch ${batch}, the farthest first`, newest.map(([c, d]) => [
    c.name, figure(d.distance), figure(d.threshold), c.ratio === null ? "–" : `${c.ratio.toFixed(2)}${c.drifts ? " (drifts)" : ""}`,
  ]));
}

function showDecision(element, decided) {
  const failed = decided.checks.filter((check) => !check.passed).length;
  const outcome = decided.promoted ? `version ${decided.champion} into production` : decided.verdict === "refused" ? "refused by the gate" : "";
  const what = {rollback: "by hand or evidence", adoption: "adopted", request: "on request"}[decided.kind] ?? `batch ${decided.batch}`;
  fill(element, {what, action: decided.action, outcome, reason: decided.reason});
  element.querySelector(".chip").dataset.action = decided.action;
  element.querySelector(".outcome").className = `outcome ${decided.promoted ? "good" : "bad"}`;
  const time = element.querySelector("time");
  time.dateTime = decided.at;
  time.title = moment(decided.at);
  const notes = element.querySelector(".notes");
  notes.replaceChildren(...decided.notes.map((note) => Object.assign(document.createElement("li"), {textContent: note})));
  const verdict = element.querySelector("details");
  verdict.hidden = decided.verdict === null;
  fill(verdict, {verdict: decided.verdict === "passed" ? `✓ passed ${plural(decided.checks.length, "check")}` : `✕ ${failed} of ${plural(decided.checks.length, "check")} failed`});
  showChecks(verdict.querySelector("ul"), decided.checks);
}

async function showRuns(element, {name, earlier}) {
  const answer = await askLoop(`${place(name)}/runs`), up = answer !== null, runs = answer?.runs ?? [];
  const going = runs.filter((run) => run.at_work), last = runs[0];
  const idle = last ? `The loop is at rest; its last run ended ${ago(last.ended ?? last.started ?? Date.now())}.` : "The loop has not run yet.";
  const broken = going.length || !last || !["Failed", "Crashed"].includes(last.state) ? [] : [last];
  fill(element, {loop: !up ? loop.said : going.length ? "" : idle});
  element.querySelector('[data-do="retrain"]').disabled = !up;
  element.querySelector('[data-do="roll-back"]').disabled = !up || earlier.length === 0;
  show(element.querySelector(".runs"), "run", [...going, ...broken], (run) => run.run_id, (item, run) => {
    const why = run.reason ? `: ${run.reason}` : "";
    fill(item, {flow: cause[run.flow] ?? run.flow, text: `${run.state === "Paused" ? "waits for a person" : run.state.toLowerCase()}${why}`});
    item.querySelector(".chip").dataset.action = run.at_work ? "update" : "quarantined";
    const bar = item.querySelector("progress");
    bar.hidden = run.progress === null || !run.at_work;
    bar.value = run.progress ?? 0;
    bar.setAttribute("aria-label", `training of ${name}`);
  });
}

/** Show what waits for a person; returns how many do. */
export async function showApprovals(states, told) {
  const asked = states.filter(hasBegun).map(async ({name}) => {
    const answer = await askLoop(`${place(name)}/approvals`);
    return (answer?.approvals ?? []).map((approval) => ({...approval, name}));
  });
  const waiting = (await Promise.all(asked)).flat();
  byId("approvals").hidden = waiting.length === 0;
  show(byId("approval-list"), "approval", waiting, (approval) => approval.run_id, (element, approval) => {
    if (!element.dataset.known) {
      element.dataset.known = "yes";
      element.querySelector('[data-do="approve"]').addEventListener("click", () => askAnswer(approval.name, approval, true, told));
      element.querySelector('[data-do="refuse"]').addEventListener("click", () => askAnswer(approval.name, approval, false, told));
    }
    const passed = approval.checks.filter((check) => check.passed).length;
    fill(element, {
      title: `${approval.name}: version ${approval.version ?? "?"}${approval.champion ? ` in place of version ${approval.champion}` : ""}`,
      why: `Asked for: ${approval.asked}`,
      verdict: `✓ ${passed} of ${plural(approval.checks.length, "check")} passed`,
      until: approval.until ? `without an answer it is refused ${ago(approval.until)}` : "",
    });
    showChecks(element.querySelector(".checks"), approval.checks);
  });
  return waiting.length;
}

/** What the loop answers; null where it is not up, and loop.said says why. */
async function askLoop(path) {
  if (Date.now() < loop.awayUntil) return null;
  try {
    return await get(path);
  } catch (error) {
    if (!(error instanceof Refused) || ![409, 503].includes(error.status)) throw error;
    loop.awayUntil = Date.now() + RETRY_MILLISECONDS;
    loop.said = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
    return null;
  }
}
