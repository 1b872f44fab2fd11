// Which browser the tests run in, and what it cannot do. A test that needs such a thing is skipped there with the reason, and
// so gets its row in docs/reference/engines.md (see table.mjs).
export const ENGINE = process.env.ALTER_E2E_BROWSER || 'chromium';

const PICTURES = 'Pictures and axe: they are of markup that is the same in every engine, and are made in Chromium.';
const TOUCH = 'No driver here plays a touch screen, by which an iPad that says it is a Mac is known.';
const HISTORY = 'WebDriver does not list the addresses in a tab\'s history, so that they are scanned in Chromium alone.';

export const LACKS = {
  chromium: {},
  firefox: {
    pictures: PICTURES,
    history: HISTORY,
    touch: TOUCH,
    'noopener-allow-popups': 'Firefox does not know this opener policy: the opener stays, and there is nothing to lose.',
  },
  webkit: {
    pictures: PICTURES,
    history: HISTORY,
    touch: TOUCH,
    faults: 'Classic WebDriver tells neither the errors nor the CSP violations of our pages. Chromium and Firefox do.',
    requests: 'Classic WebDriver does not tell what a page requests: what arrives at the servers is scanned.',
    'storage off': 'WebKitGTK can be told to keep no cookies, but not to keep nothing for a tab.',
    'a page not kept': 'WebKitGTK keeps even a page with an unload listener for whoever goes back to it.',
  },
};
if (!LACKS[ENGINE]) throw new Error(`ALTER_E2E_BROWSER=${ENGINE} is none of ${Object.keys(LACKS).join(', ')}`);

/** Why this engine cannot do it, or false: made for a test's `skip`. */
export const lacks = (ability) => LACKS[ENGINE][ability] ?? false;

/** The numbers of attacks that a test's name begins with: `t01_t05_an evil page` has two. */
export const numbers = (name) => (/^(?:t\d\d[a-z]?_)*/.exec(name)[0].match(/t\d\d/g) ?? []).map((number) => number.toUpperCase());

/** The files that have a browser in them but run in Chromium alone. */
export const LEFT_OUT = {
  agents: 'What differs from connect.test.mjs is the server\'s and the backend\'s.',
  demo: 'The demo has an app page of its own, but no page of ours that connect.test.mjs does not show.',
  guides: 'The apps of the guides differ in their backends.',
};
/** The files of the other engines; `firefox` is about that engine alone. */
const SHARED = ['binding', 'connect', 'coop', 'deadends', 'doors', 'ends', 'legacy', 'levels', 'links', 'pages', 'redirect', 'way-back', 'windows'];
/** Those that the test command runs in each engine: who may come in, opener policies, client 0.8.0, levels and links. */
const CORE_SHARED = ['binding', 'coop', 'legacy', 'levels', 'links'];
export const CORE = { firefox: CORE_SHARED, webkit: CORE_SHARED };
export const FILES = { firefox: [...SHARED, 'firefox'], webkit: SHARED };
