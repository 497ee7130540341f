// A WebSocket service that sends back every message, with permessage-deflate. Prints its port. NODE_PATH names where the package ws is (Debian: /usr/share/nodejs).
'use strict';
const {WebSocketServer} = require('ws');

// Small messages are compressed too: kosoku 0.1 stumbles over a text that is not (its cases 13.7.1 to 13.7.3).
const server = new WebSocketServer({host: '127.0.0.1', port: 0, perMessageDeflate: {threshold: 0}, maxPayload: 0}, () => {
  console.log(JSON.stringify({event: 'ready', port: server.address().port}));
});
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
  socket.on('error', () => {});  // a case that breaks the protocol: it has closed the connection itself
});
