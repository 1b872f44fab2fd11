/** The page that the user returns to: what it believes, what it asks, and who hears of the outcome (B10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE, SERVER, TOKEN, connection, plain, seeded, world } from "./world.mjs";

const V = "v".repeat(43);
const CODE = "s".repeat(26) + "c-_".repeat(14) + "c";
const SUCCESS = `alter_result_code=${CODE}&alter_connect_success=true&grant_id=grant-forged&provider=google&account_identifier=a%40b.test`;
const FAILURE = `alter_result_code=${CODE}&alter_connect_error=true&error_code=oauth_denied&error_description=No%20way`;
const kept = () => ({ alterConnect: `${SERVER} ${V} ` });
const completed = () => ({ status: "completed", cursor: 1, events: [], connections: [connection("google"), connection("slack")] });
const failed = () => ({ status: "failed", cursor: 1, events: [], error: "oauth_denied", message: "In words.", details: { reason: "x" } });
const exited = () => ({ status: "exited", cursor: 1, events: [] });
const down = () => { throw new TypeError("Failed to fetch"); };

const hear = (w, alter, label = "") => {
  for (const end of ["success", "error", "exit"]) alter.on(end, (...values) => w.calls.push([label + end, ...values]));
};

/** The page at `url`, with an instance whose handlers are registered at once. */
async function arrive(query, options = {}, after = 1_000) {
  const w = world({ url: `${PAGE}/connected?${query}`, kept: kept(), answer: completed, ...options });
  const alter = w.AlterConnect.create({ baseURL: SERVER });
  const clean = w.location.href;
  hear(w, alter);
  await w.clock.advance(after);
  return { w, alter, clean };
}

test("a success is asked for with the code and v, and comes as the server says, not as the URL does", async () => {
  const { w } = await arrive(SUCCESS);
  assert.deepEqual(w.requests.map(({ url, body, credentials, headers }) => [url, body, credentials, headers]), [
    [SERVER + "/connect/result", { result_code: CODE, v: V, cursor: 0, wait: 25 }, "omit", undefined],
  ]);
  const [[kind, first, all]] = w.calls;
  assert.equal(w.calls.length, 1);
  assert.deepEqual([kind, plain(first), plain(all)], ["success", connection("google"), [connection("google"), connection("slack")]]);
  assert.deepEqual([plain(w.kept), w.clock.pending, w.listeners.size], [{}, 0, 0]);
});

test("a failure and an exit reach their handlers", async () => {
  const error = await arrive(FAILURE, { answer: failed });
  assert.deepEqual([error.w.kinds(), error.w.error()], [["error"], { code: "oauth_denied", message: "In words.", details: { reason: "x" } }]);
  const exit = await arrive(FAILURE, { answer: exited });
  assert.deepEqual(exit.w.calls, [["exit"]]);
  assert.deepEqual([plain(error.w.kept), plain(exit.w.kept)], [{}, {}]);
});

test("where there is no code, the session's id is the ticket", async () => {
  const { w } = await arrive("alter_sid=sid26&alter_connect_error=true&error_code=binding_failed&error_description=x", { answer: failed });
  assert.equal(w.requests[0].body.result_code, "sid26");
});

test("create() cleans the URL at once: the app's own query, fragment and history state stay", async () => {
  for (const [url, clean] of [
    [`${PAGE}/connected?${SUCCESS}`, `${PAGE}/connected`],
    [`${PAGE}/connected?tab=2&x=%26alter&${SUCCESS}#part?alter_connect_x=1`, `${PAGE}/connected?tab=2&x=%26alter#part?alter_connect_x=1`],
    [`${PAGE}/?a=1&${FAILURE}#/route`, `${PAGE}/?a=1#/route`],
    [`${PAGE}/?alter_connect_success=true`, `${PAGE}/`],
  ]) {
    const w = world({ url, kept: kept(), answer: completed });
    w.AlterConnect.create({ baseURL: SERVER });
    assert.equal(w.location.href, clean);
    assert.deepEqual(plain(w.urls), [[{ router: "of the app" }, clean]]);
  }
});

test("a page that nobody returned to is left alone: no request, no change of its URL", async () => {
  for (const query of ["", "code=1&state=2", "grant_id=x&status=ok", "not_alter_connect_success=true", "x=alter_connect_success"]) {
    for (const before of [{}, kept()]) {
      const { w } = await arrive(query, { kept: before });
      assert.deepEqual([w.urls, w.requests, w.calls, plain(w.kept)], [[], [], [], plain(before)], query);
    }
  }
});

test("a handler hears of the outcome whenever it is registered, exactly once", async () => {
  const { w, alter } = await arrive(SUCCESS);
  await w.clock.advance(3_600_000);
  hear(w, alter, "late ");
  await w.clock.advance(0);
  assert.deepEqual(w.kinds(), ["success", "late success"]);
  assert.equal(w.requests.length, 1);
  const twice = () => w.calls.push(["twice"]);
  alter.on("success", twice);
  alter.on("success", twice);
  await w.clock.advance(0);
  assert.deepEqual(w.kinds(), ["success", "late success", "twice"]);
});

test("on() returns what unsubscribes; off() does the same, and for this end alone", async () => {
  const w = world({ url: `${PAGE}/?${SUCCESS}`, kept: kept(), answer: completed });
  const alter = w.AlterConnect.create();
  const say = (word) => () => w.calls.push([word]);
  const [a, b, c, d] = ["a", "b", "c", "d"].map(say);
  alter.on("success", a)();
  alter.on("success", b);
  alter.off("success", b);
  alter.on("success", c);
  alter.on("error", c);
  alter.off("error", c);
  alter.off("exit", d);
  alter.on("success", d);
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["c", "d"]);
});

test("two instances of one page share its return: both hear of it, and it is asked for once", async () => {
  const w = world({ url: `${PAGE}/?${SUCCESS}`, kept: kept(), answer: completed });
  const [first, second] = [w.AlterConnect.create(), w.AlterConnect.create()];
  hear(w, first, "first ");
  hear(w, second, "second ");
  await w.clock.advance(1_000);
  assert.deepEqual([w.kinds().sort(), w.requests.length], [["first success", "second success"], 1]);
});

test("destroy() before the answer: its handlers hear nothing, another instance's do", async () => {
  const w = world({ url: `${PAGE}/?${SUCCESS}`, kept: kept(), answer: completed });
  const first = w.AlterConnect.create();
  hear(w, first, "first ");
  first.destroy();
  hear(w, w.AlterConnect.create(), "second ");
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["second success"]);
});

test("t51_a reload while the answer is on its way asks again, with the same v; one after it asks nothing", async () => {
  const tab = kept();
  const { w } = await arrive(SUCCESS, { kept: tab, answer: () => new Promise(() => {}) });
  assert.deepEqual([w.calls, tab.alterConnect], [[], `${SERVER} ${V} ${CODE}`]);
  const again = await arrive("", { kept: tab });
  assert.deepEqual([again.w.requests.map(({ body }) => body), again.w.kinds()], [[{ result_code: CODE, v: V, cursor: 0, wait: 25 }], ["success"]]);
  const last = await arrive("", { kept: tab });
  assert.deepEqual([last.w.requests, last.w.calls], [[], []]);
});

test("t51_a second tab, or a tab that keeps nothing, is told session_expired, and asks nothing", async () => {
  for (const nothing of [{}, null]) {
    for (const query of [SUCCESS, FAILURE]) {
      const { w, clean } = await arrive(query, { kept: nothing });
      assert.deepEqual([w.kinds(), w.error().code, w.requests, clean], [["error"], "session_expired", [], `${PAGE}/connected`]);
      assert.deepEqual([w.clock.pending, w.listeners.size], [0, 0]);
    }
  }
});

test("what may pass is asked again, and the outcome is not lost by it", async () => {
  const answers = [down, () => [503, "<html>"], () => [429, {}], () => [200, "not JSON"]];
  const { w } = await arrive(SUCCESS, { answer: () => (answers.shift() ?? completed)() }, 20_000);
  assert.deepEqual([w.kinds(), w.requests.length], [["success"], 5]);
});

test("a server that is gone is unreachable after some four minutes, and a reload asks again", async () => {
  const tab = kept();
  const { w } = await arrive(SUCCESS, { kept: tab, answer: down }, 200_000);
  assert.deepEqual(w.calls, []);
  await w.clock.advance(60_000);
  assert.deepEqual([w.kinds(), w.error().code, w.error().details], [["error"], "network_error", { reason: "unreachable" }]);
  assert.deepEqual([w.clock.pending, w.listeners.size], [0, 0]);
  const again = await arrive("", { kept: tab });
  assert.deepEqual(again.w.kinds(), ["success"]);
});

test("an answer that never comes is asked for again after 30 s", async () => {
  const { w } = await arrive(SUCCESS, { answer: (_body, n) => (n === 1 ? new Promise(() => {}) : completed()) }, 31_000);
  assert.deepEqual([w.kinds(), w.requests.length], [["success"], 2]);
});

test("a connect-src without the server is told at once on the return page too", async () => {
  const { w } = await arrive(SUCCESS, { answer: () => new Promise(() => {}) });
  w.happen("securitypolicyviolation", { effectiveDirective: "connect-src", disposition: "enforce", blockedURI: SERVER + "/connect/result" });
  await w.clock.advance(0);
  assert.deepEqual([w.kinds(), w.error().details], [["error"], { reason: "connect_src" }]);
});

test("the pageshow of a page that was returned to ends nothing", async () => {
  const { w } = await arrive(SUCCESS, { answer: (_body, n) => (n === 1 ? new Promise(() => {}) : completed()) });
  w.happen("pageshow", { persisted: true });
  await w.clock.advance(31_000);
  assert.deepEqual(w.kinds(), ["success"]);
});

test("a refusal is final and is not asked about again", async () => {
  for (const [status, error] of [[404, "invalid_result_code"], [403, "binding_failed"], [410, "session_expired"]]) {
    const tab = kept();
    const { w } = await arrive(SUCCESS, { kept: tab, answer: () => [status, { error, message: "No." }] }, 60_000);
    assert.deepEqual([w.kinds(), w.error(), w.requests.length, plain(tab)], [["error"], { code: error, message: "No." }, 1, {}]);
  }
});

test("an answer to an earlier flow does not forget the one that the tab keeps by now", async () => {
  const tab = kept();
  let answer;
  const { w } = await arrive(SUCCESS, { kept: tab, answer: () => new Promise((resolve) => (answer = resolve)) });
  tab.alterConnect = `${SERVER} ${"w".repeat(43)} `;
  answer(completed());
  await w.clock.advance(0);
  assert.deepEqual([w.kinds(), tab.alterConnect], [["success"], `${SERVER} ${"w".repeat(43)} `]);
});

test("a whole round: the page that left, and the page that it comes back to", async () => {
  const tab = {};
  const { PHONE } = await import("./world.mjs");
  const out = world({ device: PHONE, kept: tab });
  await out.start({ token: TOKEN });
  const [, v] = tab.alterConnect.split(" ");
  const { w } = await arrive(SUCCESS, { kept: tab });
  assert.deepEqual([w.requests[0].body.v, w.kinds()], [v, ["success"]]);
});

test("t42_of 1,000 forged returns none is accepted: the server alone says what became of a flow", async () => {
  const { below, pick, word: letters } = seeded(11);
  const word = () => pick("true", "1", "", "grant-1", "google", "%00", "%3Cscript%3E", "..", letters(8), letters(69), CODE, "a".repeat(3_000));
  const names = ["alter_connect_success", "alter_connect_error", "alter_result_code", "alter_sid", "grant_id", "provider", "account_identifier",
    "status", "operation", "scopes", "error_code", "error_description", "v", "__proto__", "result_code"];
  for (let round = 0; round < 1_000; round++) {
    const parts = [pick("alter_connect_success=true", "alter_connect_error=true", "alter_connect_=", "alter_connect_success")];
    for (let i = below(8); i > 0; i--) parts.splice(below(parts.length + 1), 0, `${pick(...names)}=${word()}`);
    const tab = pick({}, null, kept(), { alterConnect: "" }, { alterConnect: letters(12) });
    // The server knows none of these codes.
    const unknown = () => [404, { error: "invalid_result_code", message: "No." }];
    const { w } = await arrive(parts.join("&") + pick("", "#x", "#alter_result_code=" + CODE), { kept: tab, answer: pick(unknown, unknown, down) }, 0);
    await w.clock.advance(300_000);
    assert.ok(!w.kinds().includes("success") && !w.kinds().includes("exit"), parts.join("&"));
    assert.ok(w.calls.length <= 1, `${w.kinds()} after ${parts.join("&")}`);
    assert.doesNotMatch(w.location.search, /[?&]alter_(connect|result|sid)\w*=/);
    assert.deepEqual([w.clock.pending, w.listeners.size], [0, 0]);
  }
});
