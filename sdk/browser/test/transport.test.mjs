/** Which device gets which transport (brief 4), and how a page leaves (B9, B10, B11). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE, PHONE, SERVER, TOKEN, leaving, plain, rejection, stillOpen, world } from "./world.mjs";

const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";
const OLD_IPHONE = IPHONE.replace("18_6", "14_0").replace("18.6", "14.0");
const IPAD_AS_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15";
const IPAD_AS_IPAD = "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1";
const IN_APP_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G86 Instagram 390.0.0.28.85 (iPhone16,1; iOS 18_6; en_US; en; scale=3.00; 1179x2556)";
const ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
const ANDROID_TABLET = ANDROID.replace(" Mobile", "");
const SAMSUNG = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36";
const FIREFOX_PHONE = "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0";
const FIREFOX_TABLET = "Mozilla/5.0 (Android 15; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0";
const HARMONY_PHONE = "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile";
const HARMONY_TABLET = "Mozilla/5.0 (Tablet; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1";
const WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const MAC_CHROME = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const LINUX_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROMEBOOK = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/** Name, user agent, touch points, screen, window (CSS px). An iOS screen has the same numbers however it is held. */
const REDIRECT = [
  ["iPhone SE (2022), Safari", IPHONE, 5, [375, 667], [375, 547]],
  ["iPhone SE (2016), iOS 14", OLD_IPHONE, 5, [320, 568], [320, 460]],
  ["iPhone 16, Safari", IPHONE, 5, [393, 852], [393, 659]],
  ["iPhone 16 Pro Max, Safari", IPHONE, 5, [440, 956], [440, 763]],
  ["iPhone 16, Instagram's own browser", IN_APP_IPHONE, 5, [393, 852], [393, 690]],
  ["iPhone 16, a page without a viewport element", IPHONE, 5, [393, 852], [980, 1643]],
  ["Pixel 9, Chrome", ANDROID, 5, [412, 923], [412, 785]],
  ["Pixel 9 with its keyboard open", ANDROID, 5, [412, 923], [412, 380]],
  ["Pixel 9, Firefox", FIREFOX_PHONE, 5, [412, 923], [412, 803]],
  ["Galaxy phone, Samsung Internet", SAMSUNG, 5, [360, 780], [360, 629]],
  ["Galaxy Ultra, small display size", SAMSUNG, 5, [480, 1040], [480, 880]],
  ["Galaxy Z Fold6, closed", SAMSUNG, 5, [369, 904], [369, 740]],
  ["Galaxy Z Fold6, open, upright", SAMSUNG.replace(" Mobile", ""), 5, [707, 823], [707, 700]],
  ["Galaxy Z Flip6", SAMSUNG, 5, [412, 1004], [412, 840]],
  ["Pixel 9 Pro Fold, open, upright", ANDROID_TABLET, 5, [791, 820], [791, 735]],
  ["iPad mini, upright, Safari as a Mac", IPAD_AS_MAC, 5, [744, 1133], [744, 1059]],
  ["iPad Pro 13, upright, Safari as a Mac", IPAD_AS_MAC, 5, [1024, 1366], [1024, 1292]],
  ["iPad Air, upright, Chrome", IPAD_AS_IPAD, 5, [820, 1180], [820, 1087]],
  ["iPad Air, sideways, a narrow slide-over window", IPAD_AS_MAC, 5, [820, 1180], [320, 788]],
  ["Galaxy Tab, upright", ANDROID_TABLET, 10, [800, 1280], [800, 1136]],
  ["Pixel Tablet, upright, Firefox", FIREFOX_TABLET, 5, [800, 1280], [800, 1150]],
  ["Lenovo Tab with its keyboard on screen, upright", ANDROID_TABLET, 10, [800, 1340], [800, 760]],
  ["Pura 80, OpenHarmony", HARMONY_PHONE, 5, [394, 864], [394, 700]],
  ["MatePad, OpenHarmony, upright", HARMONY_TABLET, 10, [800, 1280], [800, 1140]],
];
const POPUP = [
  ["iPhone 16 held sideways", IPHONE, 5, [393, 852], [734, 343]],
  ["Pixel 9 held sideways", ANDROID, 5, [923, 412], [863, 300]],
  ["iPad Air, sideways, Safari as a Mac", IPAD_AS_MAC, 5, [820, 1180], [1180, 746]],
  ["iPad mini, sideways, Chrome", IPAD_AS_IPAD, 5, [744, 1133], [1133, 651]],
  ["iPad Pro 13, sideways, most of the screen", IPAD_AS_MAC, 5, [1024, 1366], [1100, 950]],
  ["Galaxy Tab, sideways", ANDROID_TABLET, 10, [1280, 800], [1280, 656]],
  ["Pixel Tablet, sideways, Firefox", FIREFOX_TABLET, 5, [1280, 800], [1280, 670]],
  ["MatePad, OpenHarmony, sideways", HARMONY_TABLET, 10, [1280, 800], [1280, 660]],
  ["Galaxy Z Fold6, open, sideways", SAMSUNG.replace(" Mobile", ""), 5, [823, 707], [823, 585]],
  ["Galaxy Tab, upright, asked for the desktop's pages", LINUX_FIREFOX.replace("Firefox/140.0", ""), 10, [800, 1280], [980, 1390]],
  ["Surface Pro with touch", WINDOWS, 10, [1440, 960], [1440, 826]],
  ["Surface Pro with touch, upright", WINDOWS, 10, [960, 1440], [960, 1306]],
  ["Windows, a window of 400 px", WINDOWS, 0, [1920, 1080], [400, 900]],
  ["Windows, a window of 480 px on a screen on its side", WINDOWS, 0, [1080, 1920], [480, 1700]],
  ["Mac, Safari", IPAD_AS_MAC, 0, [1512, 982], [1512, 857]],
  ["Mac, Chrome, a window of 480 px", MAC_CHROME, 0, [1512, 982], [480, 850]],
  ["Linux, Firefox", LINUX_FIREFOX, 0, [1920, 1080], [1900, 950]],
  ["Linux with a touch screen, a narrow window", LINUX_FIREFOX, 10, [1920, 1080], [450, 950]],
  ["Chromebook with a touch screen", CHROMEBOOK, 10, [1366, 768], [1366, 648]],
];

const device = ([, userAgent, maxTouchPoints, [width, height], [innerWidth, innerHeight]], more = {}) => ({
  navigator: { userAgent, maxTouchPoints, ...more },
  screen: { width, height },
  innerWidth,
  innerHeight,
});

async function transportOf(at, options = {}) {
  const w = world({ device: at, ...options });
  const { opened } = await w.start();
  await opened;
  return [w.popups.length && "popup", w.frames.length && "redirect"].filter(Boolean).join();
}

for (const [transport, devices] of [["redirect", REDIRECT], ["popup", POPUP]])
  for (const row of devices)
    test(`${transport}: ${row[0]}`, async () => assert.equal(await transportOf(device(row)), transport));

test("an installed web app of iOS leaves by redirect, however it is held", async () => {
  for (const row of [REDIRECT[2], POPUP[0]]) {
    assert.equal(await transportOf(device(row, { standalone: true })), "redirect");
  }
});

test("a page in a frame takes the popup on every device: its storage is not the tab's", async () => {
  for (const row of REDIRECT) assert.equal(await transportOf(device(row), { framed: true }), "popup");
});

test("door A: the redirect's form leaves from a hidden frame, for the whole tab, in redirect mode", async () => {
  const w = world({ device: PHONE });
  const events = [];
  const { opened, alter } = await w.start({ onEvent: (name) => events.push(name) });
  await opened;
  const { action, method, target, fields, head } = leaving(w);
  assert.deepEqual([action, method, target], [SERVER + "/connect/open", "post", "_top"]);
  assert.deepEqual(Object.keys(fields), ["session", "cb", "m"]);
  assert.deepEqual([fields.session, fields.m], [TOKEN, "r"]);
  assert.match(fields.cb, /^[\w-]{43}$/);
  assert.deepEqual(plain(head.children[0]), { children: [], tag: "meta", name: "referrer", content: "origin" });
  assert.equal(w.frames[0].window, undefined, "in this page's head, where nothing is drawn");
  assert.deepEqual([w.popups, w.left, events, alter.isOpen()], [[], [], ["OPEN"], false]);
});

test("before it leaves, the tab keeps the server and v, whose hash is cb, and nothing else", async () => {
  const w = world({ device: PHONE });
  await w.start();
  const { createHash } = await import("node:crypto");
  const [base, v, ticket] = w.kept.alterConnect.split(" ");
  assert.equal(base, SERVER);
  assert.equal(createHash("sha256").update(Buffer.from(v, "base64url")).digest("base64url"), leaving(w).fields.cb);
  assert.equal(ticket, "");
  assert.ok(!w.kept.alterConnect.includes(TOKEN));
});

test("door B takes the page itself where its CSP forbids the form, and keeps the way back", async () => {
  for (const form of ["event", "throws"]) {
    const w = world({ device: PHONE, form });
    await w.start();
    assert.equal(w.left.length, 1, form);
    const [address, fragment] = w.left[0].split("#");
    const { session, cb, m } = Object.fromEntries(new URLSearchParams(fragment));
    assert.deepEqual([address, session, m], [SERVER + "/sdk/oauth/connect", TOKEN, "r"]);
    assert.match(cb, /^[\w-]{43}$/);
    assert.ok(w.kept.alterConnect);
  }
});

test("a page that has left asks nothing; one that is still there after an hour is told session_expired", async () => {
  const w = world({ device: PHONE });
  await w.start();
  await w.clock.advance(3_599_000);
  assert.deepEqual([w.requests, w.calls], [[], []]);
  await w.clock.advance(2_000);
  assert.deepEqual([w.requests, w.error().code, w.clock.pending, w.listeners.size], [[], "session_expired", 0, 0]);
});

test("blocked storage is storage_blocked, and the page stays", async () => {
  const w = world({ device: PHONE, kept: null });
  const { opened } = await w.start();
  await opened;
  assert.deepEqual([w.kinds(), w.error().code, w.frames, w.left], [["error"], "storage_blocked", [], []]);
  assert.equal(w.calls[0][1].details.cause.message, "SecurityError");
});

test("the token is awaited before the page leaves, and a second click meanwhile changes nothing", async () => {
  const w = world({ device: PHONE });
  let send;
  const { alter } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  assert.equal(alter.isOpen(), true);
  let asked = 0;
  await alter.open({ token: () => (asked++, TOKEN), ...w.callbacks("second ") });
  assert.deepEqual([w.frames.length, asked], [0, 0]);
  send(TOKEN);
  await w.clock.advance(0);
  assert.deepEqual([w.frames.length, w.calls], [1, []]);
});

test("a token that fails, or never comes, is a token_error on a phone too", async () => {
  for (const token of [() => { throw new Error("mine"); }, () => Promise.reject(new Error("mine")), new Promise(() => {})]) {
    const w = world({ device: PHONE });
    await w.start({ token });
    await w.clock.advance(61_000);
    assert.deepEqual([w.kinds(), w.error().code, w.frames.length, w.clock.pending], [["error"], "token_error", 0, 0]);
  }
});

test("an open() that cannot start leaves the flow before it alone, on a phone too", async () => {
  const w = world({ device: PHONE });
  let send;
  const { alter } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  assert.equal((await rejection(alter.open({ token: TOKEN })))?.code, "invalid_options");
  send(TOKEN);
  await w.clock.advance(0);
  assert.equal(w.frames.length, 1);
  await alter.open({ token: "nonsense", ...w.callbacks("malformed ") });
  assert.deepEqual([w.kinds(), w.cancels()], [["malformed error"], []]);
});

test("close() does nothing in the redirect flow: neither before the page leaves nor after", async () => {
  const w = world({ device: PHONE });
  let send;
  const { alter } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  alter.close();
  send(TOKEN);
  await w.clock.advance(0);
  alter.close();
  await w.clock.advance(1_000);
  assert.deepEqual([w.frames.length, w.requests, w.calls], [1, [], []]);
  assert.ok(w.kept.alterConnect);
});

test("destroy() keeps a page from leaving, and does not end a flow that has left", async () => {
  const w = world({ device: PHONE });
  let send;
  const { alter, opened } = await w.start({ token: new Promise((resolve) => (send = resolve)) });
  alter.destroy();
  await opened;
  send(TOKEN);
  await w.clock.advance(1_000);
  assert.deepEqual([w.frames.length, w.calls], [0, []]);

  // A framework that cleans up in `pagehide` must not cancel the flow for which the page is hidden.
  const gone = world({ device: PHONE });
  (await gone.start()).alter.destroy();
  await gone.clock.advance(1_000);
  assert.deepEqual([gone.frames.length, gone.requests], [1, []]);
  assert.ok(gone.kept.alterConnect);
});

test("fallback: a blocked popup leaves by redirect; without it, and in a frame, it is popup_blocked", async () => {
  const left = world({ blocked: true });
  await left.start({ fallback: "redirect" });
  assert.deepEqual([left.frames.length, leaving(left).fields.m, left.calls], [1, "r", []]);
  for (const [options, given] of [[{ blocked: true }, {}], [{ blocked: true, framed: true }, { fallback: "redirect" }]]) {
    const w = world(options);
    await w.start(given);
    assert.deepEqual([w.kinds(), w.error().code, w.frames.length], [["error"], "popup_blocked", 0]);
  }
  const allowed = world();
  await allowed.start({ fallback: "redirect" });
  assert.deepEqual([allowed.popups.length, allowed.frames.length], [1, 0]);
});

test("t51_a page that left and is shown again has ended: exited once, cancelled, nothing kept, and the button works", async () => {
  const w = world({ device: PHONE, answer: () => stillOpen() });
  const { alter } = await w.start({ onEvent: (name) => w.calls.push([name]) });
  const { cb } = leaving(w).fields;
  w.happen("pageshow", { persisted: false });
  assert.deepEqual(w.kinds(), ["OPEN"], "the page's own first pageshow");
  w.happen("pageshow", { persisted: true });
  w.happen("pageshow", { persisted: true });
  await w.clock.advance(1_000);
  assert.deepEqual(w.kinds(), ["OPEN", "EXIT", "exit"]);
  assert.deepEqual(w.requests.map(({ url, body }) => [url, body]), [
    [SERVER + "/connect/status", { session_token: TOKEN, cb, cursor: 0, cancel: true }],
  ]);
  assert.deepEqual([plain(w.kept), w.listeners.size, alter.isOpen()], [{}, 0, false]);
  await alter.open({ token: TOKEN, ...w.callbacks("next ") });
  assert.equal(w.frames.length, 2);
});

test("t51_a page that is shown again after its flow came back elsewhere in this tab says nothing and ends nothing", async () => {
  for (const later of [undefined, "https://connect.example.com another-flow "]) {
    const w = world({ device: PHONE });
    await w.start();
    if (later) w.kept.alterConnect = later;
    else delete w.kept.alterConnect;
    w.happen("pageshow", { persisted: true });
    await w.clock.advance(1_000);
    assert.deepEqual([w.calls, w.requests, w.kept.alterConnect, w.listeners.size], [[], [], later, 0]);
  }
});

test("a second click while the page is leaving supersedes the flow: cancelled, exited once", async () => {
  const w = world({ device: PHONE });
  const { alter } = await w.start(w.callbacks("first "));
  await alter.open({ token: TOKEN, ...w.callbacks("second ") });
  await w.clock.advance(1_000);
  assert.deepEqual([w.kinds(), w.cancels().length, w.frames.length], [["first exit"], 1, 2]);
  assert.equal(PAGE, w.page.origin);
});
