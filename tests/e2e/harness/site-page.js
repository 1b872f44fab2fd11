// Runs in the app's page. Everything that the SDK reports is kept in `window.flow`; what ended the flow is also
// written into the page, because Trusted Types do not let a test poll the page with an expression.
(() => {
  const { server, published, fallback } = document.body.dataset;
  const flow = (window.flow = { events: [], ends: [], violations: [] });
  const button = document.getElementById('connect');
  const end = (kind, value, all) => {
    flow.ends.push({ kind, value, all, at: Date.now() });
    document.getElementById('end').textContent = flow.ends.map((e) => e.kind).join(' ');
  };
  const token = () =>
    fetch('/session', { method: 'POST' }).then((answer) => {
      if (!answer.ok) throw new Error(`session: ${answer.status}`);
      return answer.json().then((json) => json.token);
    });
  const handlers = {
    onSuccess: (connection, connections) => end('success', connection, connections),
    onError: (error) => end('error', JSON.parse(JSON.stringify(error))),
    onExit: () => end('exit'),
    onEvent: (name, metadata) => flow.events.push({ name, metadata }),
  };
  const instance = AlterConnect.create({ baseURL: server, debug: true });
  flow.instance = instance;
  // The page is its own return page. In the published client these are the callbacks of open() once more.
  if (!published) {
    for (const kind of ['success', 'error', 'exit']) {
      instance.on(kind, (value, all) => end(`returned ${kind}`, value && JSON.parse(JSON.stringify(value)), all));
    }
  }
  document.addEventListener('securitypolicyviolation', (e) => {
    // WebKitGTK asks for an icon that nobody has named, and reports that the policy forbids it.
    if (!e.blockedURI.endsWith('/favicon.ico')) flow.violations.push(e.effectiveDirective);
  });
  const click = (options) => {
    flow.opened = instance.open({ ...options, ...handlers }).then(() => 'opened', (error) => `rejected ${error.code}`);
  };
  if (published) {
    // The published client takes a string: the app fetches it before the click.
    token().then((value) => {
      button.addEventListener('click', () => click({ token: value, baseURL: server }));
      button.disabled = false;
    });
  } else {
    button.addEventListener('click', () => click({ token, fallback }));
    button.disabled = false;
  }
})();
