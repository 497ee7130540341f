// A WebSocket service that sends back every message, with permessage-deflate. Prints its port. NODE_PATH names where the package ws is (Debian: /usr/share/nodejs).
'use strict';
const {WebSocketServer} = require('ws');

const server = new WebSocketServer({host: '127.0.0.1', port: 0, perMessageDeflate: true, maxPayload: 0}, () => {
  console.log(JSON.stringify({event: 'ready', port: server.address().port}));
});
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
  socket.on('error', () => {});  // a case that breaks the protocol: it has closed the connection itself
});
