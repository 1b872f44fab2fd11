/** How a flow ends: once, in time, or silently when the app says so (B5, B6). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SERVER, START, TOKEN, connection, rejection, stillOpen, world } from "./world.mjs";

const completed = () => ({ status: "completed", cursor: 1, events: [], connections: [connection()] });
const failed = () => ({ status: "failed", cursor: 1, events: [], error: "oauth_denied", message: "Denied." });
const exited = () => ({ status: "exited", cursor: 1, events: [] });

test("open() resolves once the popup is on its way to the server", async () => {
  const w = world();
  let send;
  const { opened } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  let resolved = false;
  opened.then(() => (resolved = true));
  await w.clock.advance(1_000);
  assert.equal(resolved, false);
  send(TOKEN);
  await w.clock.advance(0);
  assert.equal(resolved, true);
  assert.equal(w.popups[0].posts.length, 1);
});

test("each end calls exactly one callback, once, closes the popup unless that says what failed, and leaves nothing running", async () => {
  for (const [kind, end] of [["success", completed], ["error", failed], ["exit", exited]]) {
    const w = world({ answer: end });
    const { alter, popup } = await w.start();
    assert.equal(alter.isOpen(), true);
    await w.clock.advance(5_000);
    popup.closed = true;
    await w.clock.advance(4_000_000);
    assert.deepEqual(w.kinds(), [kind]);
    assert.equal(popup.closeCalls, kind === "error" ? 0 : 1);
    assert.equal(alter.isOpen(), false);
    assert.equal(w.requests.length, 1, "no question after the end");
    assert.deepEqual([w.clock.pending, w.listeners.size], [0, 0]);
  }
});

test("where the app's backend has the last word, the page fetches the code for it, once, and hands it on", async () => {
  const waits = { ...connection(), grant_id: "", status: "pending", metadata: { result_code: "CODE" } };
  const w = world();
  w.answer = () => ({ status: "pending", cursor: 1, events: [], connections: w.requests.at(-1).url.endsWith("/result") ? [waits] : undefined });
  await w.start();
  await w.clock.advance(5_000);
  assert.deepEqual(w.requests.map(({ url }) => url), [SERVER + "/connect/status", SERVER + "/connect/result"]);
  const { session_token, v } = w.requests[1].body;
  assert.deepEqual([session_token, v.length], [TOKEN, 43]);
  assert.deepEqual(w.kinds(), ["success"]);
  assert.deepEqual(JSON.parse(JSON.stringify(w.calls[0][1])), waits);
});

test("a server that never names what waits is asked at its pace", async () => {
  const w = world({ answer: () => ({ status: "pending", cursor: 1, events: [] }) });
  await w.start();
  await w.clock.advance(60_000);
  assert.ok(w.requests.length < 70, `${w.requests.length} questions in a minute`);
});

test("under any order of answers, closes, refusals and calls a flow settles once or not at all", async () => {
  let seed = 7;
  const below = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 150; round++) {
    const w = world();
    w.answer = () => [stillOpen, completed, failed, exited, () => [503, {}], () => { throw new Error(); }, () => [404, { error: "invalid_token" }]][below(20) < 13 ? 0 : below(7)]();
    const labels = [];
    const alter = w.AlterConnect.create({ baseURL: SERVER });
    let silenced = 0;
    for (let step = 0; step < 12; step++) {
      const action = below(6);
      if (action === 0) {
        const before = w.popups.length;
        const label = `flow${round}.${step} `;
        await alter.open({ token: below(2) ? TOKEN : async () => TOKEN, ...w.callbacks(label) });
        if (w.popups.length > before) labels.push(label);
      }
      if (action === 1 && w.popups.length) w.popups.at(-1).closed = !w.popups.at(-1).closed;
      if (action === 2 && below(4) === 0) (silenced++, alter.close());
      await w.clock.advance(below(4_000));
    }
    w.answer = exited;
    await w.clock.advance(60_000);
    const settled = labels.map((label) => w.kinds().filter((kind) => kind.startsWith(label)).length);
    assert.ok(settled.every((n) => n <= 1), JSON.stringify([round, settled]));
    assert.ok(settled.filter((n) => n === 0).length <= silenced, JSON.stringify([round, settled, silenced]));
  }
});

test("a blocked popup is popup_blocked at onError, and the next click works", async () => {
  const w = world({ blocked: true });
  let asked = 0;
  const { alter, opened } = await w.start({ token: async () => (asked++, TOKEN) });
  await opened;
  assert.deepEqual([w.kinds(), w.error().code, asked], [["error"], "popup_blocked", 1]);
  w.blocked = false;
  await alter.open({ token: TOKEN, ...w.callbacks() });
  assert.equal(w.popups[0].posts.length, 1);
});

test("a second open() while the popup is there focuses it and changes nothing", async () => {
  const w = world();
  const { alter, popup } = await w.start();
  let asked = 0;
  await alter.open({ token: () => (asked++, TOKEN), ...w.callbacks("second ") });
  assert.deepEqual([w.popups.length, popup.focused, asked, w.calls], [1, 1, 0, []]);
  w.answer = completed;
  await w.clock.advance(2_000);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("a second open() whose predecessor's popup is gone supersedes it: cancelled, exited once, replaced", async () => {
  const w = world();
  const { alter, popup } = await w.start({ ...w.callbacks("first ") });
  await w.clock.advance(1_000);
  popup.closed = true;
  await alter.open({ token: TOKEN, ...w.callbacks("second ") });
  assert.deepEqual(w.kinds(), ["first exit"]);
  assert.equal(w.cancels().length, 1);
  assert.equal(w.cancels()[0].body.session_token, TOKEN);
  w.answer = completed;
  await w.clock.advance(2_000);
  assert.deepEqual(w.kinds(), ["first exit", "second success"]);
});

test("an onExit that calls open() again does not make a third popup", async () => {
  const w = world();
  const { alter, popup } = await w.start({ onExit: () => alter.open({ token: TOKEN, ...w.callbacks("third ") }) });
  popup.closed = true;
  await alter.open({ token: TOKEN, ...w.callbacks("second ") });
  await w.clock.advance(0);
  assert.deepEqual([w.popups.length, w.popups[1].focused], [2, 1]);
});

test("an open() that cannot start leaves the flow before it alone", async () => {
  const w = world();
  const { alter, popup } = await w.start();
  popup.closed = true;
  w.blocked = true;
  await alter.open({ token: TOKEN, ...w.callbacks("blocked ") });
  await alter.open({ token: "nonsense", ...w.callbacks("malformed ") });
  await rejection(alter.open({ token: TOKEN }));
  assert.deepEqual(w.kinds(), ["blocked error", "malformed error"]);
  w.answer = completed;
  await w.clock.advance(2_000);
  assert.deepEqual(w.kinds(), ["blocked error", "malformed error", "success"]);
  assert.equal(w.cancels().length, 0);
});

test("the flow ends with session_expired at the deadline although the server still says open", async () => {
  const w = world({ answer: () => stillOpen({ deadline: new Date(START + 20_000).toISOString() }) });
  const { popup } = await w.start();
  await w.clock.advance(19_900);
  assert.deepEqual(w.calls, []);
  await w.clock.advance(600);
  assert.deepEqual([w.kinds(), w.error().code, popup.closed], [["error"], "session_expired", false]);
});

test("a popup that is gone when the deadline comes is an exit, never session_expired", async () => {
  const w = world({ answer: () => stillOpen({ deadline: new Date(START + 20_000).toISOString() }) });
  const { popup } = await w.start();
  await w.clock.advance(5_000);
  popup.closed = true;
  await w.clock.advance(14_900);
  assert.deepEqual(w.calls, []);
  await w.clock.advance(600);
  assert.deepEqual(w.kinds(), ["exit"]);
});

test("the deadline moves when the server moves it", async () => {
  const w = world({ answer: ({ cursor }) => stillOpen({ cursor, deadline: new Date(START + 20_000).toISOString() }) });
  await w.start();
  await w.clock.advance(10_000);
  w.answer = () => stillOpen({ deadline: new Date(START + 60_000).toISOString() });
  await w.clock.advance(49_000);
  assert.deepEqual(w.calls, []);
  await w.clock.advance(1_600);
  assert.equal(w.error().code, "session_expired");
});

test("without any further answer a flow ends too: the questions hang, the deadline does not", async () => {
  const w = world({ answer: (_body, n) => (n === 1 ? stillOpen({ deadline: undefined }) : new Promise(() => {})) });
  await w.start();
  await w.clock.advance(3_599_000);
  assert.deepEqual(w.calls, []);
  await w.clock.advance(2_000);
  assert.deepEqual([w.kinds(), w.error().code], [["error"], "session_expired"]);
});

test("a page whose clock is an hour ahead does not lose its flow", async () => {
  const w = world({ answer: () => stillOpen({ deadline: new Date(START - 3_000_000).toISOString() }) });
  await w.start();
  await w.clock.advance(60_000);
  assert.deepEqual(w.calls, []);
  w.answer = completed;
  await w.clock.advance(2_000);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("close() ends a flow silently and cancels it at the server", async () => {
  const w = world();
  const { alter, popup } = await w.start();
  await w.clock.advance(1_000);
  alter.close();
  alter.close();
  w.answer = completed;
  await w.clock.advance(10_000);
  assert.deepEqual([w.calls, popup.closed, alter.isOpen()], [[], true, false]);
  assert.deepEqual(w.cancels().map(({ body }) => body), [
    { session_token: TOKEN, cb: w.requests[0].body.cb, cursor: 0, cancel: true },
  ]);
  assert.equal(w.cancels()[0].keepalive, true);
  assert.deepEqual([w.clock.pending, w.listeners.size], [0, 0]);
  await alter.open({ token: TOKEN, ...w.callbacks() });
  assert.equal(alter.isOpen(), true);
});

test("close() while the token is pending resolves open() and calls nothing, then or later", async () => {
  const w = world();
  let send;
  const { alter, opened, popup } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  alter.close();
  await opened;
  send(TOKEN);
  await w.clock.advance(5_000);
  assert.deepEqual([w.calls, w.requests, popup.posts, popup.closed], [[], [], [], true]);
});

test("after a failure the popup belongs to its own button, until the app closes it or opens another", async () => {
  for (const by of ["close", "destroy", "open"]) {
    const w = world({ answer: failed });
    const { alter, popup } = await w.start();
    await w.clock.advance(3_600_000);
    assert.deepEqual([w.kinds(), popup.closeCalls, alter.isOpen()], [["error"], 0, false], by);
    w.answer = () => stillOpen();
    await alter[by]({ token: TOKEN, ...w.callbacks("next ") });
    await w.clock.advance(1_000);
    assert.deepEqual([w.kinds(), popup.closed], [["error"], true], by);
    assert.equal(w.popups.length, by === "open" ? 2 : 1);
  }
});

test("close() without a flow does nothing", async () => {
  const w = world();
  w.AlterConnect.create().close();
  assert.equal(w.requests.length, 0);
});

test("a close() while an answer is on its way still ends silently, its events included", async () => {
  let answerNow;
  const w = world({ answer: () => new Promise((resolve) => (answerNow = resolve)) });
  const { alter } = await w.start({ onEvent: (name) => w.calls.push([name]) });
  await w.clock.advance(500);
  const deliver = answerNow;
  alter.close();
  deliver({ ...completed(), events: [{ name: "OAUTH_COMPLETE", metadata: {} }] });
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["OPEN"]);
});

test("a failed flow is an error although some connections were made in it", async () => {
  const w = world({ answer: () => ({ ...failed(), connections: [connection()] }) });
  await w.start();
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["error"]);
});

test("a completed flow that names no connection is a server_error, not a success", async () => {
  const w = world({ answer: () => ({ ...completed(), connections: [] }) });
  await w.start();
  await w.clock.advance(1_000);
  assert.deepEqual([w.kinds(), w.error().code], [["error"], "server_error"]);
});

test("a failing cancel is nobody's error", async () => {
  const w = world();
  const { alter } = await w.start();
  w.answer = () => { throw new TypeError("Failed to fetch"); };
  alter.close();
  await w.clock.advance(1_000);
  assert.deepEqual(w.calls, []);
});

test("destroy() ends the flow silently and every later open() rejects with sdk_destroyed", async () => {
  const w = world();
  const { alter, popup } = await w.start();
  alter.destroy();
  alter.destroy();
  assert.deepEqual([popup.closed, alter.isOpen(), w.cancels().length], [true, false, 1]);
  assert.equal((await rejection(alter.open({ token: TOKEN, ...w.callbacks() }))).code, "sdk_destroyed");
  assert.equal((await rejection(alter.open())).code, "sdk_destroyed");
  await w.clock.advance(10_000);
  assert.deepEqual([w.calls, w.popups.length, w.clock.pending, w.listeners.size], [[], 1, 0, 0]);
});

test("closing is tried every 300 ms, at most 20 times more", async () => {
  const lost = world({ answer: completed });
  const first = await lost.start();
  first.popup.stubborn = 3;
  await lost.clock.advance(10_000);
  assert.deepEqual([first.popup.closed, first.popup.closeCalls], [true, 4]);

  const never = world({ answer: completed });
  const second = await never.start();
  second.popup.stubborn = 1_000;
  await never.clock.advance(20_000);
  assert.equal(second.popup.closeCalls, 21);
  assert.equal(never.clock.pending, 0);
});

test("a callback that throws neither stops the flow nor reaches another callback", async () => {
  const w = world({ answer: () => ({ ...completed(), events: [{ name: "OAUTH_COMPLETE" }] }) });
  const { popup } = await w.start({
    onEvent: (name) => { throw new Error(name); },
    onSuccess: () => { w.calls.push(["success"]); throw new Error("mine"); },
  });
  await w.clock.advance(2_000);
  assert.deepEqual([w.kinds(), popup.closed], [["success"], true]);
  assert.deepEqual(w.thrown, ["OPEN", "OAUTH_COMPLETE", "mine"]);
});

test("debug logs the events, and never the token or the proof", async () => {
  const w = world({ answer: failed });
  const { popup } = await w.start({}, { baseURL: SERVER, debug: true });
  await w.clock.advance(2_000);
  const text = JSON.stringify(w.log);
  assert.match(text, /OPEN/);
  assert.match(text, /oauth_denied/);
  assert.ok(!text.includes(TOKEN) && !text.includes(popup.posts[0].fields.cb));

  const quiet = world({ answer: failed });
  await quiet.start();
  await quiet.clock.advance(2_000);
  assert.deepEqual(quiet.log, []);
});
