// A whole integration: the click calls open() with a promise of a session token; the backend then uses the grant.
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const connect = AlterConnect.create();
  const events = byId('events');
  let first = true;
  let grant;
  let token = {};
  let tokens = 0;

  const note = (text) => {
    if (first) events.replaceChildren();
    first = false;
    const item = document.createElement('li');
    item.textContent = text;
    events.append(item);
  };

  const say = (text) => { byId('say').textContent = text; };

  const post = async (path, body) => {
    const answer = await fetch(path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body || {}),
    });
    const json = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(json.error || 'HTTP ' + answer.status);
    return json;
  };

  // The token itself stays with the backend; its generation and its end are told.
  const showToken = (now) => {
    if (now.generation !== token.generation) {
      tokens += 1;
      const ended = new Date(token.expires_at) < new Date();
      if (tokens > 1) note(ended ? 'The access token had run out: the call got a fresh one.' : 'The access token was refreshed before it ran out.');
    }
    token = now;
    byId('token').textContent = 'no. ' + tokens + ' seen here, works until ' + new Date(now.expires_at).toLocaleTimeString();
  };

  // Where the account's grant was confirmed before, by the pages without a script, a weaker flow replaces nothing by itself:
  // the app has the last word.
  const confirmed = async (connection) => {
    if (connection.status !== 'pending') return connection;
    note('It waits for the app. The backend confirms that the same user is here.');
    return { ...connection, ...(await post('/api/confirm', { result_code: connection.metadata.result_code })) };
  };

  const show = (connection) => {
    const rows = [['Grant', connection.grant_id], ['Account', connection.account_identifier],
      ['Provider', connection.provider_name], ['Operation', connection.operation], ['Scopes', connection.scopes.join(' ')],
      ['Access token', '…']];
    byId('connection').replaceChildren(...rows.flatMap(([name, value]) => {
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      dt.textContent = name;
      dd.textContent = value;
      if (name === 'Access token') dd.id = 'token';
      return [dt, dd];
    }));
    byId('connected').hidden = false;
    grant = connection.grant_id;
    read('/api/notes', 'backend');
  };

  const read = async (path, who) => {
    byId('reader').textContent = 'What the ' + who + ' read';
    byId('result').textContent = 'Calling…';
    try {
      const answer = await post(path);
      byId('result').textContent = JSON.stringify(answer.read, null, 2);
      showToken(answer.token);
      note('The ' + who + ' called the provider’s API.');
    } catch (error) {
      byId('result').textContent = 'The call failed: ' + error.message;
    }
  };

  byId('phone').addEventListener('click', () => {
    if (!window.open('/phone', '', 'popup,width=390,height=844')) say('Please allow popups for this page, then press the button again.');
  });
  byId('again').addEventListener('click', () => read('/api/notes', 'backend'));
  byId('agent').addEventListener('click', () => read('/api/agent', 'agent'));
  byId('disconnect').addEventListener('click', async () => {
    byId('reader').textContent = 'Disconnected';
    try {
      byId('result').textContent = (await post('/api/disconnect', { grant_id: grant })).message;
      note('The backend revoked the grant. Let the agent try again.');
    } catch (error) {
      byId('result').textContent = 'It did not work: ' + error.message;
    }
  });

  const succeeded = (how) => (connection) => {
    note(how);
    confirmed(connection).then(show, (error) => say(error.message));
  };
  const failed = (how) => (error) => { note(how + ': ' + error.code); say(error.message); };
  const left = (how) => () => { note(how); say('You left before finishing.'); };
  // A phone leaves this page and comes back to it, with the outcome.
  connect.on('success', succeeded('on success'));
  connect.on('error', failed('on error'));
  connect.on('exit', left('on exit'));

  byId('connect').addEventListener('click', () => {
    say('');
    connect.open({
      token: () => post('/api/session', { page: location.pathname }).then((s) => s.sessionToken),
      onSuccess: succeeded('onSuccess'),
      onError: failed('onError'),
      onExit: left('onExit'),
      onEvent: (name, metadata) => note(name + (metadata.provider ? ' (' + metadata.provider + ')' : '')),
    }).catch((error) => say(error.message));
  });
})();
