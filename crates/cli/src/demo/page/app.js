// A whole integration: the click calls open() with a promise of a session token; the backend then uses the grant.
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const connect = AlterConnect.create();
  const events = byId('events');
  let first = true;
  let grant;

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

  const show = (connection) => {
    const rows = [['Grant', connection.grant_id], ['Account', connection.account_identifier],
      ['Provider', connection.provider_name], ['Operation', connection.operation], ['Scopes', connection.scopes.join(' ')]];
    byId('connection').replaceChildren(...rows.flatMap(([name, value]) => {
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      dt.textContent = name;
      dd.textContent = value;
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
      byId('result').textContent = JSON.stringify(await post(path), null, 2);
      note('The ' + who + ' called the provider’s API.');
    } catch (error) {
      byId('result').textContent = 'The call failed: ' + error.message;
    }
  };

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

  byId('connect').addEventListener('click', () => {
    say('');
    connect.open({
      token: () => post('/api/session').then((s) => s.sessionToken),
      onSuccess: (connection) => { note('onSuccess'); show(connection); },
      onError: (error) => { note('onError: ' + error.code); say(error.message); },
      onExit: () => { note('onExit'); say('You closed the window before finishing.'); },
      onEvent: (name, metadata) => note(name + (metadata.provider ? ' (' + metadata.provider + ')' : '')),
    }).catch((error) => say(error.message));
  });
})();
