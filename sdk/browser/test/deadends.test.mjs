/** Dead ends that only the popup or the browser knows: the app hears of each within 15 s, by its own code. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { PAGE, SERVER, START, TOKEN, connection, plain, rejection, stillOpen, world } from "./world.mjs";

const down = () => { throw new TypeError("Failed to fetch"); };
const completed = () => ({ status: "completed", cursor: 1, events: [], connections: [connection()] });

/** The one error of a flow, as its code, the facts in its details, and the milliseconds that it took at most. */
async function heard(w, within = 15_000) {
  while (!w.calls.length && w.clock.now < START + within) await w.clock.advance(250);
  assert.deepEqual(w.kinds(), ["error"]);
  return [w.error().code, w.error().details];
}

test("a server that has never answered is unreachable within 15 s, whether it refuses or hangs", async () => {
  for (const answer of [down, () => new Promise(() => {}), () => [502, "<html>"], () => [503, { error: "server_error" }]]) {
    const w = world({ answer });
    const { popup } = await w.start();
    assert.deepEqual(await heard(w), ["network_error", { reason: "unreachable" }]);
    assert.ok(w.error().message.includes(SERVER), w.error().message);
    assert.deepEqual([w.clock.pending, w.listeners.size, popup.closed], [0, 0, true]);
  }
});

test("a popup in which no page of the server can be is closed, any other one stays", async () => {
  const wrongHost = () => [421, { error: "wrong_host", message: "No." }];
  const away = (body, n) => (n > 1 ? down() : stillOpen());
  for (const [answer, reason, closed] of [[down, "unreachable", true], [wrongHost, "wrong_address", false], [away, "unreachable", false]]) {
    const w = world({ answer });
    const { popup } = await w.start();
    assert.deepEqual(await heard(w, 300_000), ["network_error", { reason }]);
    await w.clock.advance(10_000);
    assert.equal(popup.closed, closed, reason);
  }
});

test("a page that was frozen meanwhile has not waited", async () => {
  const w = world({ answer: down });
  await w.start();
  await w.clock.advance(1_000);
  w.clock.now += 3_000_000; // a phone shows the popup alone
  w.answer = completed;
  await w.clock.advance(5_000);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("a connect-src without the server is told at once, as the browser reports it", async () => {
  for (const blockedURI of [SERVER + "/connect/status", SERVER]) {
    const w = world({ answer: () => new Promise(() => {}) });
    await w.start();
    await w.clock.advance(250);
    w.happen("securitypolicyviolation", { effectiveDirective: "connect-src", disposition: "enforce", blockedURI });
    assert.deepEqual(await heard(w, 500), ["network_error", { reason: "connect_src" }]);
    assert.equal(w.error().message, "connect_src " + SERVER);
  }
});

test("another violation of the page's policy ends nothing", async () => {
  const w = world();
  await w.start();
  const status = { effectiveDirective: "connect-src", disposition: "enforce", blockedURI: SERVER + "/connect/status" };
  for (const other of [
    { disposition: "report" },
    { effectiveDirective: "img-src" },
    { blockedURI: "https://elsewhere.example/connect/status" },
    { blockedURI: SERVER + "/sdk/alter-connect.umd.js" },
  ]) {
    w.happen("securitypolicyviolation", { ...status, ...other });
  }
  await w.clock.advance(1_000);
  assert.deepEqual(w.calls, []);
});

test("an address that the server does not have is a wrong_address", async () => {
  const w = world({ answer: () => [421, { error: "wrong_host", message: "No." }] });
  await w.start();
  assert.deepEqual(await heard(w, 500), ["network_error", { reason: "wrong_address" }]);
  assert.ok(w.error().message.includes(SERVER));
});

test("a popup that door B lost without a word is a binding_failed that names form-action", async () => {
  for (const form of ["event", "throws"]) {
    const w = world({ form });
    const { popup } = await w.start();
    popup.closed = true; // the opener policy cut it off
    await w.clock.advance(9_000);
    w.answer = () => ({ status: "exited", cursor: 0, events: [] });
    assert.deepEqual(await heard(w), ["binding_failed", { reason: "form_action" }]);
    assert.equal(w.error().message, "form_action " + SERVER);
  }
});

test("a popup that asked for its proof at door B and was closed then is an exit", async () => {
  const w = world({ form: "throws" });
  const { popup } = await w.start();
  const id = new URLSearchParams(popup.urls[0].split("#")[1]).get("cb");
  w.message({ source: popup, origin: SERVER, data: { alter: "hello", id } });
  w.answer = () => ({ status: "exited", cursor: 0, events: [] });
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["exit"]);
});

test("a form that a sandbox swallows is followed by door B, once", async () => {
  const w = world({ form: "silence" });
  const { popup } = await w.start();
  await w.clock.advance(3_000);
  assert.deepEqual(popup.urls, []);
  await w.clock.advance(10_000);
  assert.equal(popup.urls.length, 1);
  assert.ok(popup.urls[0].startsWith(SERVER + "/sdk/oauth/connect#session=" + TOKEN));
});

test("a popup that is closed before its form is sent is an exit, and not sent on", async () => {
  const w = world({ form: "silence" });
  const { popup } = await w.start();
  await w.clock.advance(1_000);
  popup.closed = true;
  await w.clock.advance(9_000);
  assert.deepEqual(popup.urls, []);
  w.answer = () => ({ status: "exited", cursor: 0, events: [] });
  await w.clock.advance(3_000);
  assert.deepEqual(w.kinds(), ["exit"]);
});

test("a form on its way is not overtaken: neither one that has arrived nor one to a slow server", async () => {
  const arrived = world();
  const first = await arrived.start();
  await arrived.clock.advance(10_000);
  assert.deepEqual(first.popup.urls, []);
  const slow = world({ form: "silence", answer: () => new Promise(() => {}) });
  const second = await slow.start();
  await slow.clock.advance(11_000);
  assert.deepEqual(second.popup.urls, []);
});

test("debug prints each refused call with its status and both origins", async () => {
  const answers = [down, () => [502, "<html>"], () => [403, { error: "binding_failed", message: "No." }]];
  const w = world({ answer: () => answers.shift()() });
  await w.start({}, { baseURL: SERVER, debug: true });
  await w.clock.advance(5_000);
  const refused = plain(w.log.filter(([, what]) => what === "refused").map(([, , more]) => more));
  assert.deepEqual(refused, [{}, { status: 502 }, { status: 403 }].map((seen) => ({ ...seen, page: PAGE, url: SERVER + "/connect/status" })));
  assert.ok(!JSON.stringify(w.log).includes(TOKEN));
});

test("an error is an Error with the fields of its kind, and JSON keeps them all", async () => {
  const w = world({ answer: () => [403, { error: "binding_failed", message: "No.", details: { page_origin: PAGE } }] });
  await w.start();
  await w.clock.advance(1_000);
  const [, error] = w.calls[0];
  assert.ok(error instanceof w.Error);
  assert.deepEqual(plain(error), { code: "binding_failed", message: "No.", details: { page_origin: PAGE } });
  assert.match(String(error), /No\./);
});

test("what a browser throws becomes an error of ours with its cause", async () => {
  // In a sandboxed frame, Firefox throws where other browsers return no window.
  const cause = Object.assign(new Error("InvalidAccessError"), { code: 15 });
  for (const where of ["open", "enter"]) {
    const w = world();
    const locked = { closed: false, close() {}, get document() { throw cause; }, location: { set href(_) { throw cause; } } };
    w.page.open = () => {
      if (where === "open") throw cause;
      return locked;
    };
    await w.start();
    await w.clock.advance(1_000);
    assert.deepEqual(w.kinds(), ["error"], where);
    const [, error] = w.calls[0];
    assert.ok(error instanceof w.Error);
    assert.deepEqual([error.code, error.message, error.details.cause], ["popup_blocked", "popup_blocked", cause]);
  }
});

test("a token that is none says what it is, before a window opens", async () => {
  for (const [token, words] of [
    [() => undefined, /undefined/],
    [() => null, /null/],
    ["alter_key_" + "a".repeat(40), /alter_key$/],
    [() => "alter_rk_" + "a".repeat(22) + "_123456", /alter_rk_$/],
    [{ session_token: TOKEN }, /\[object/],
    [() => ({ sessionToken: TOKEN }), /\[object/],
    [() => 42, /42/],
    ["nonsense", /nonsense/],
  ]) {
    const w = world();
    await w.start({ token });
    assert.deepEqual([w.kinds(), w.error().code, w.popups.length], [["error"], "invalid_token", 0], String(token));
    assert.match(w.error().message, words);
    assert.ok(!w.error().message.includes("aaaa"), "a key is not repeated");
  }
});

test("a promise of such a token says the same, and its window closes", async () => {
  for (const [token, words] of [[async () => undefined, /undefined/], [Promise.resolve({}), /object/]]) {
    const w = world();
    const { popup } = await w.start({ token });
    assert.deepEqual([w.kinds(), w.error().code, popup.closed], [["error"], "invalid_token", true]);
    assert.match(w.error().message, words);
  }
});

test("event times never go back, whichever clock is wrong, and sort as text", async () => {
  for (const skew of [-3_600_000, 0, 3_600_000]) {
    const at = new Date(START + skew + 500).toISOString().replace("Z", "123+00:00");
    const event = (name) => ({ name, metadata: { timestamp: at, provider: "google" } });
    const times = [];
    const events = [event("PROVIDER_SELECTED"), event("OAUTH_STARTED")];
    const w = world({ answer: ({ cursor }) => stillOpen({ cursor: 2, events: events.slice(cursor) }) });
    await w.start({ onEvent: (name, { timestamp }) => times.push(timestamp) });
    await w.clock.advance(250);
    w.answer = () => ({ status: "exited", cursor: 2, events: [] });
    await w.clock.advance(2_000);
    assert.deepEqual(w.kinds(), ["exit"]);
    assert.equal(times.length, 4);
    assert.deepEqual(times, times.toSorted(), String(skew));
    for (const time of times) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
});

test("in Node, open() rejects with invalid_options", async () => {
  const { default: AlterConnect } = createRequire(import.meta.url)("@alter-ai/connect");
  const opening = AlterConnect.create({ baseURL: SERVER }).open({ token: TOKEN, onSuccess() {} });
  await assert.rejects(opening, Error);
  assert.equal((await rejection(opening)).code, "invalid_options");
});
