/** The status channel: what is asked, how often, and what the answers do (B7, B8). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SERVER, START, TOKEN, connection, patientServer, plain, stillOpen, world } from "./world.mjs";

test("a question is a simple request with the token in the body and no cookies", async () => {
  const w = world();
  await w.start();
  await w.clock.advance(1_000);
  const { url, method, headers, credentials, raw, body } = w.requests[0];
  assert.equal(url, SERVER + "/connect/status");
  assert.match(method, /^post$/i);
  assert.equal(typeof raw, "string"); // goes out as text/plain
  assert.deepEqual([headers, credentials], [undefined, "omit"]);
  assert.match(body.cb, /^[\w-]{43}$/);
  assert.deepEqual(body, { session_token: TOKEN, cb: body.cb, cursor: 0, closed: false, wait: 0 });
});

test("a server that does not wait is asked about once a second after a quick beginning, whatever it says", async () => {
  const w = world({ answer: (_body, n) => stillOpen({ cursor: n, deadline: new Date(START + 600_000 + n).toISOString() }) });
  await w.start();
  await w.clock.advance(60_000);
  assert.ok(w.requests.length > 50 && w.requests.length <= 66, String(w.requests.length));
  assert.deepEqual(w.requests.map(({ body }) => body.cursor), w.requests.map((_, n) => n));
  for (const { at } of w.requests) {
    assert.ok(w.requests.filter((other) => other.at >= at && other.at < at + 1_000).length <= 5, String(at - START));
  }
});

test("the first question is answered at once, the later ones wait for news and are asked again when it came", async () => {
  const server = patientServer();
  const w = world({ answer: server.answer });
  const events = [];
  await w.start({ onEvent: (name) => events.push(name) });
  await w.clock.advance(20_000);
  assert.deepEqual(w.requests.map(({ body }) => body.wait), [0, 25]);
  server.tell({ events: [{ name: "PROVIDER_SELECTED", metadata: {} }] });
  await w.clock.advance(0);
  assert.deepEqual(events, ["OPEN", "PROVIDER_SELECTED"], "in the moment it is told");
  assert.deepEqual(w.requests.map(({ body }) => body.cursor), [0, 0, 1], "asked again in the same moment");
  await w.clock.advance(24_000);
  server.release();
  await w.clock.advance(0);
  assert.equal(w.requests.length, 4, "nothing has happened: it goes on waiting");
  server.tell({ status: "completed", connections: [connection()] });
  await w.clock.advance(0);
  assert.deepEqual(w.kinds(), ["success"]);
  await w.clock.advance(60_000);
  assert.equal(w.requests.length, 4);
});

test("three steps within a second are told when they happen, and no pause comes before the last", async () => {
  const server = patientServer();
  const w = world({ answer: server.answer });
  const events = [];
  await w.start({ onEvent: (name) => events.push(name) });
  await w.clock.advance(250);
  for (const name of ["PROVIDER_SELECTED", "OAUTH_STARTED"]) {
    server.tell({ events: [{ name, metadata: {} }] });
    await w.clock.advance(100);
    assert.equal(events.at(-1), name);
  }
  server.release();
  await w.clock.advance(100);
  server.tell({ status: "completed", connections: [connection()] });
  await w.clock.advance(0);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("a change of popup.closed ends the question that waits and is told within a beat, both ways", async () => {
  const server = patientServer();
  const w = world({ answer: server.answer });
  const { popup } = await w.start();
  await w.clock.advance(10_000);
  for (const closed of [true, false]) {
    const before = w.requests.length;
    assert.equal(w.requests[before - 1].signal.aborted, false);
    popup.closed = closed;
    await w.clock.advance(250);
    assert.equal(w.requests[before - 1].signal.aborted, true, "a browser has few connections for a server");
    assert.deepEqual([w.requests.length, w.requests[before].body.closed], [before + 1, closed]);
    await w.clock.advance(10_000);
    assert.equal(w.requests.length, before + 1);
  }
  assert.deepEqual(w.log, [], "what the page broke off itself was refused by nobody");
});

test("a flow that ends takes its question back, and only a cancel outlives the page", async () => {
  const server = patientServer();
  const w = world({ answer: server.answer });
  const { alter } = await w.start({}, { baseURL: SERVER, debug: true });
  await w.clock.advance(5_000);
  alter.close();
  await w.clock.advance(0);
  const [, waiting, cancel] = w.requests;
  assert.deepEqual([waiting.signal.aborted, !!waiting.keepalive], [true, false]);
  assert.deepEqual([cancel.body.cancel, cancel.keepalive, cancel.signal], [true, true, undefined]);
  assert.ok(!w.log.some(([, what]) => what === "refused"), "what the page broke off was refused by nobody");
});

test("f54_a server that stops lets go of the question, which is asked again and goes on", async () => {
  const server = patientServer();
  const w = world({ answer: server.answer });
  await w.start();
  await w.clock.advance(20_000);
  const before = w.requests.length;
  // It answers "open", then at once, then not at all, and then another one is there.
  w.answer = () => stillOpen();
  server.release();
  await w.clock.advance(5_000);
  assert.ok(w.requests.length - before <= 10, String(w.requests.length - before));
  w.answer = () => { throw new TypeError("Failed to fetch"); };
  await w.clock.advance(20_000);
  w.answer = server.answer;
  await w.clock.advance(15_000);
  assert.deepEqual([server.held.size, w.calls], [1, []]);
  server.tell({ status: "completed", connections: [connection()] });
  await w.clock.advance(0);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("t36_popup.closed is no verdict: while the server says open there is no exit", async () => {
  const w = world();
  const { alter, popup } = await w.start();
  popup.closed = true;
  await w.clock.advance(300_000);
  assert.deepEqual(w.calls, []);
  assert.equal(alter.isOpen(), false);
  // Positive control: the same popup, the server's word.
  w.answer = () => ({ status: "exited", cursor: 0, events: [] });
  await w.clock.advance(1_500);
  assert.deepEqual(w.kinds(), ["exit"]);
});

test("t36_a flow that looked closed can still succeed", async () => {
  const w = world();
  const { popup } = await w.start();
  popup.closed = true;
  await w.clock.advance(60_000);
  w.answer = () => ({ status: "completed", cursor: 1, events: [], connections: [connection()] });
  await w.clock.advance(1_500);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("events come in the order of the brief, with a timestamp and the provider where known", async () => {
  const w = world();
  const events = [];
  const at = "2026-03-01T12:00:03Z";
  const server = patientServer();
  w.answer = server.answer;
  await w.start({ onEvent: (name, metadata) => events.push([name, plain(metadata)]) });
  const event = (name) => ({ name, metadata: { timestamp: at, provider: "google" } });
  server.tell({ events: [event("PROVIDER_SELECTED")] });
  await w.clock.advance(250);
  server.tell({ events: [event("OAUTH_STARTED")] });
  await w.clock.advance(1_250);
  server.tell({ status: "completed", events: [event("OAUTH_COMPLETE")], connections: [connection()] });
  await w.clock.advance(1_250);
  const google = { timestamp: "2026-03-01T12:00:03.000Z", provider: "google" };
  assert.deepEqual(events, [
    ["OPEN", { timestamp: new Date(START).toISOString() }],
    ["PROVIDER_SELECTED", google],
    ["OAUTH_STARTED", google],
    ["OAUTH_COMPLETE", google],
  ]);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("EXIT comes right before onExit", async () => {
  const w = world({ answer: () => ({ status: "exited", cursor: 0, events: [] }) });
  await w.start({ onEvent: (name, { timestamp }) => w.calls.push([name, timestamp]) });
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["OPEN", "EXIT", "exit"]);
  assert.ok(Date.parse(w.calls[1][1]) >= START);
});

test("the first connection and all of them reach onSuccess as they came", async () => {
  const connections = [connection("google"), { ...connection("slack"), metadata: { team: "T1" } }];
  const w = world({ answer: () => ({ status: "completed", cursor: 1, events: [], connections }) });
  await w.start();
  await w.clock.advance(1_000);
  assert.deepEqual(plain(w.calls), [["success", connections[0], connections]]);
});

test("every error of the server arrives with its code, message and details", async () => {
  const codes = {
    invalid_token: undefined,
    session_expired: { reason: "used" },
    oauth_denied: undefined,
    oauth_provider_error: { provider_error: "access_denied" },
    binding_failed: undefined,
    server_error: { request_id: "r1" },
  };
  for (const [code, details] of Object.entries(codes)) {
    const w = world({ answer: () => ({ status: "failed", cursor: 0, events: [], error: code, message: "In words.", details }) });
    const { popup } = await w.start();
    await w.clock.advance(1_000);
    assert.deepEqual(w.kinds(), ["error"]);
    assert.deepEqual(w.error(), { code, message: "In words.", ...(details && { details }) });
    assert.equal(popup.closed, false, "its page says the same");
  }
});

test("a refusal that names its error is final", async () => {
  for (const [status, error] of [[404, "invalid_token"], [403, "binding_failed"], [410, "session_expired"], [400, "invalid_options"]]) {
    const w = world({ answer: () => [status, { error, message: "No." }] });
    await w.start();
    await w.clock.advance(30_000);
    assert.deepEqual([w.kinds(), w.error()], [["error"], { code: error, message: "No." }]);
    assert.equal(w.requests.length, 1);
  }
});

test("what may pass is asked again: network, 5xx, 408, 429, an answer that is not JSON", async () => {
  const troubles = [
    () => { throw new TypeError("Failed to fetch"); },
    () => [500, { error: "server_error", message: "" }],
    () => [502, "<html>"],
    () => [408, { error: "timeout" }],
    () => [429, { error: "rate_limited" }],
    () => [404, {}],
    () => [200, "<html>"],
    () => [200, null],
  ];
  for (const trouble of troubles) {
    const w = world({ answer: trouble });
    await w.start();
    await w.clock.advance(5_000);
    assert.deepEqual(w.calls, [], String(trouble));
    w.answer = () => ({ status: "completed", cursor: 1, events: [], connections: [connection()] });
    await w.clock.advance(15_000);
    assert.deepEqual(w.kinds(), ["success"], String(trouble));
  }
});

test("after an answer a restart is waited out: it backs off, and 30 failures in a row are a network_error", async () => {
  const w = world();
  const { popup } = await w.start();
  await w.clock.advance(250);
  w.requests.length = 0;
  w.answer = () => { throw new TypeError("Failed to fetch"); };
  while (!w.calls.length && w.clock.now < START + 590_000) await w.clock.advance(1_000);
  assert.ok(w.clock.now > START + 90_000);
  assert.deepEqual([w.error().code, w.error().details], ["network_error", { reason: "unreachable" }]);
  assert.equal(w.requests.length, 30);
  const gaps = w.requests.slice(1).map(({ at }, i) => at - w.requests[i].at);
  assert.ok(gaps.every((gap, i) => i === 0 || gap >= gaps[i - 1] - 250), String(gaps));
  assert.ok(gaps.at(-1) >= 10_000);
  assert.equal(popup.closed, false);
});

test("29 failures, an answer, and 29 failures more are not a network_error", async () => {
  const w = world();
  await w.start();
  w.answer = (_body, n) => {
    if (n % 30 === 1) return stillOpen();
    throw new TypeError("Failed to fetch");
  };
  await w.clock.advance(500_000);
  assert.ok(w.requests.length > 55, String(w.requests.length));
  assert.deepEqual(w.calls, []);
});

test("a question that is never answered is asked again, and its late answer is ignored", async () => {
  let answerFirst;
  const w = world({ answer: (_body, n) => (n === 2 ? new Promise((resolve) => (answerFirst = resolve)) : stillOpen()) });
  await w.start();
  await w.clock.advance(33_000);
  assert.ok(w.requests.length >= 3);
  answerFirst({ status: "exited", cursor: 0, events: [] });
  await w.clock.advance(1_000);
  assert.deepEqual(w.calls, []);
});

test("answers that overtake each other emit no event twice", async () => {
  const events = [];
  const held = [];
  const w = world({ answer: () => new Promise((resolve) => held.push(resolve)) });
  const { popup } = await w.start({ onEvent: (name) => events.push(name) });
  await w.clock.advance(500);
  popup.closed = true;
  await w.clock.advance(500);
  assert.equal(held.length, 2);
  const same = stillOpen({ cursor: 1, events: [{ name: "PROVIDER_SELECTED", metadata: {} }] });
  held.forEach((resolve) => resolve(same));
  await w.clock.advance(0);
  assert.deepEqual(events, ["OPEN", "PROVIDER_SELECTED"]);
});
