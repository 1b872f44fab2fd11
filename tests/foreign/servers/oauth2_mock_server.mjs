// npm `oauth2-mock-server` as its README starts it. It has no pages: whoever comes is johndoe and has agreed. Its
// userinfo endpoint, here the API, looks at no token.
import { OAuth2Server } from 'oauth2-mock-server';
import { LIFE, introduce } from './line.mjs';

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
server.service.on('beforeResponse', (answer) => Object.assign(answer.body, { expires_in: LIFE }));
await server.start(0, '127.0.0.1');
await introduce(server.issuer.url, () => {});
