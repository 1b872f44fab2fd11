/** How the popup enters the server, and to whom the page gives its proof (B8, B9). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { DESKTOP, leaving, PHONE, plain, seeded, SERVER, TOKEN, world } from "./world.mjs";

/** Door B's address, taken apart. */
const fragment = (url) => {
  const [page, hash] = url.split("#");
  return { page, ...Object.fromEntries(new URLSearchParams(hash)) };
};

/** A flow at door B, and the hello that its page would send. */
async function atDoorB() {
  const w = world({ form: "throws" });
  const { alter, popup } = await w.start();
  const { cb } = fragment(popup.urls[0]);
  return { w, alter, popup, cb, hello: { source: popup, origin: SERVER, data: { alter: "hello", id: cb } } };
}

test("door A: a form POST with session, cb and m, and a referrer policy that keeps the Origin header", async () => {
  const w = world();
  const { popup } = await w.start();
  const [{ action, method, target, fields }] = popup.posts;
  assert.deepEqual([action, method, target], [SERVER + "/connect/open", "post", "_top"]);
  assert.deepEqual(Object.keys(fields), ["session", "cb", "m"]);
  assert.deepEqual([fields.session, fields.m], [TOKEN, "p"]);
  assert.match(fields.cb, /^[\w-]{43}$/);
  assert.deepEqual(popup.urls, []);
  const [meta] = popup.page.head.children;
  assert.deepEqual(plain(meta), { children: [], tag: "meta", name: "referrer", content: "origin" });
});

test("the nodes go where nothing is drawn: the token is never seen in the blank window", async () => {
  const w = world({ form: "event" });
  const { popup } = await w.start();
  assert.deepEqual(popup.page.body.children, []);
});

test("cb differs from flow to flow", async () => {
  const seen = new Set();
  for (let i = 0; i < 20; i++) {
    const w = world();
    const { popup } = await w.start();
    seen.add(popup.posts[0].fields.cb);
  }
  assert.equal(seen.size, 20);
});

test("door B follows when the app's CSP forbids the form, however the browser says so", async () => {
  for (const form of ["event", "throws"]) {
    const w = world({ form });
    const { popup } = await w.start();
    assert.equal(popup.posts.length, 0);
    assert.equal(popup.urls.length, 1, form);
    const { page, session, cb, m } = fragment(popup.urls[0]);
    assert.deepEqual([page, session, m], [SERVER + "/sdk/oauth/connect", TOKEN, "p"]);
    assert.match(cb, /^[\w-]{43}$/);
    assert.deepEqual(w.calls, []);
  }
});

test("a blank window that was navigated by hand is taken to door B", async () => {
  const w = world();
  let send;
  const { popup } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  popup.navigateAway();
  send(TOKEN);
  await w.clock.advance(0);
  assert.equal(fragment(popup.urls[0]).session, TOKEN);
});

test("door A is not left because of a report-only policy or another directive", async () => {
  const w = world({ form: "report-only" });
  const { popup } = await w.start();
  popup.violate({ effectiveDirective: "style-src-elem", disposition: "enforce" });
  await w.clock.advance(2_000);
  assert.deepEqual([popup.posts.length, popup.urls.length], [1, 0]);
});

test("the hello of this flow's own page is answered with the proof, whose hash is cb", async () => {
  const { w, popup, cb, hello } = await atDoorB();
  w.message(hello);
  const [{ data, targetOrigin }] = plain(popup.received);
  assert.deepEqual([data.alter, data.id, targetOrigin], ["proof", cb, SERVER]);
  assert.equal(createHash("sha256").update(Buffer.from(data.v, "base64url")).digest("base64url"), cb);
  assert.equal(Buffer.from(data.v, "base64url").length, 32);
});

test("t31_the proof goes to our server's origin and no other, whatever the message claims", async () => {
  for (const base of [SERVER, "http://localhost:8700"]) {
    const w = world({ form: "throws" });
    const { popup } = await w.start({}, { baseURL: base });
    const { cb } = fragment(popup.urls[0]);
    w.message({ source: popup, origin: base, data: { alter: "hello", id: cb, targetOrigin: "*", origin: "https://evil.example" } });
    assert.deepEqual(popup.received.map(({ targetOrigin }) => targetOrigin), [base]);
  }
});

test("t32_a forged hello gets nothing: wrong origin, wrong source, wrong id, wrong word", async () => {
  const forgeries = {
    "another origin": (hello) => ({ ...hello, origin: "https://evil.example" }),
    "an origin that begins alike": (hello) => ({ ...hello, origin: SERVER + ".evil.example" }),
    "an opaque origin": (hello) => ({ ...hello, origin: "null" }),
    "another window": (hello) => ({ ...hello, source: { postMessage() {} } }),
    "no window": (hello) => ({ ...hello, source: null }),
    "another id": (hello) => ({ ...hello, data: { ...hello.data, id: "A".repeat(43) } }),
    "no id": (hello) => ({ ...hello, data: { alter: "hello" } }),
    "an id in a list": (hello) => ({ ...hello, data: { ...hello.data, id: [hello.data.id] } }),
    "another word": (hello) => ({ ...hello, data: { ...hello.data, alter: "proof" } }),
    "no data": (hello) => ({ ...hello, data: null }),
    "text": (hello) => ({ ...hello, data: JSON.stringify(hello.data) }),
  };
  for (const [name, forge] of Object.entries(forgeries)) {
    const { w, popup, hello } = await atDoorB();
    w.message(forge(hello));
    assert.equal(popup.received.length, 0, name);
    w.message(hello);
    assert.equal(popup.received.length, 1, "positive control beside " + name);
  }
});

/** A message that is made up of right and wrong parts, and is not the right one. */
function forged({ pick, word }, { w, popup, cb }) {
  const success = { alter: "hello", type: "alter_connect_success", status: "completed", grants: [{ grant_id: "g", provider: "x" }] };
  const source = pick(popup, popup, {}, null, w, undefined, { postMessage() {} });
  const origin = pick(SERVER, SERVER, "https://evil.example", "null", "", SERVER + "/", SERVER.toUpperCase(), SERVER + ".evil.example", undefined);
  const alter = pick("hello", "hello", "proof", "HELLO", "", undefined, 1, true, ["hello"], word(5));
  const id = pick(cb, cb, cb.slice(1), cb + "A", "", null, undefined, [cb], { cb }, word(43), cb.toLowerCase());
  const data = pick({ alter, id }, { alter, id }, { ...success, alter, id }, success, null, undefined, "hello", 7, [alter, id], { id, data: { alter } }, JSON.stringify({ alter, id }));
  const right = source === popup && origin === SERVER && data?.alter === "hello" && data.id === cb;
  return right ? undefined : { source, origin, data };
}

test("t32_of 1,000 random messages none is answered and none ends the flow; the right one among them is", async () => {
  const flow = await atDoorB();
  const { w, popup, hello } = flow;
  const random = seeded(20260301);
  const kinds = new Set();
  for (let sent = 0; sent < 1000; ) {
    const message = forged(random, flow);
    if (!message) continue;
    w.message(message);
    sent++;
    kinds.add(JSON.stringify([message.source === popup, message.origin, message.data]));
    assert.deepEqual([popup.received, w.calls, w.thrown, popup.closed], [[], [], [], false], `message ${sent}: ${[...kinds].at(-1)}`);
  }
  assert.ok(kinds.size > 500, `control: they differ (${kinds.size})`);
  await w.clock.advance(2_000);
  assert.deepEqual([popup.received, w.calls, popup.closed], [[], [], false]);
  w.message(hello);
  assert.equal(popup.received.length, 1);
});

test("t32_of 1,000 random messages a flow through door A, and one that takes the page along, hears none", async () => {
  for (const device of [DESKTOP, PHONE]) {
    const w = world({ device });
    const { popup } = await w.start();
    const cb = device === PHONE ? leaving(w).fields.cb : popup.posts[0].fields.cb;
    const random = seeded(20260302);
    const before = w.requests.length;
    for (let sent = 0; sent < 1000; sent++) w.message(forged(random, { w, popup: popup ?? {}, cb }) ?? { source: {}, origin: SERVER, data: { alter: "hello", id: cb } });
    await w.clock.advance(0);
    assert.deepEqual([w.calls, w.thrown, popup?.received ?? [], w.requests.length], [[], [], [], before]);
  }
});

test("t37b_a popup steered to another session's page says another flow id and gets no proof", async () => {
  const mine = await atDoorB();
  const other = await atDoorB();
  mine.w.message({ ...mine.hello, data: other.hello.data });
  assert.equal(mine.popup.received.length, 0);
  mine.w.message(mine.hello);
  assert.equal(mine.popup.received.length, 1);
});

test("a flow that has ended answers no hello", async () => {
  const { w, alter, popup, hello } = await atDoorB();
  const [listener] = w.listeners;
  alter.close();
  assert.equal(w.listeners.size, 0);
  assert.ok(listener);
  w.message(hello);
  assert.equal(popup.received.length, 0);
});

test("two flows of two instances each answer their own window", async () => {
  const w = world({ form: "throws" });
  const first = await w.start();
  const second = await w.start();
  const hello = ({ popup }) => ({ source: popup, origin: SERVER, data: { alter: "hello", id: fragment(popup.urls[0]).cb } });
  w.message(hello(second));
  assert.deepEqual([first.popup.received.length, second.popup.received.length], [0, 1]);
  w.message({ ...hello(second), source: first.popup });
  assert.deepEqual([first.popup.received.length, second.popup.received.length], [0, 1]);
});
