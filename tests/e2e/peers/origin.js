// A Node.js service of test_peers.py: prints its port, and answers what only a program can. usage: node origin.js
'use strict';
const http = require('http');
const zlib = require('zlib');

const PLAIN = Buffer.from('what was compressed by the service itself. '.repeat(2000));
const waiting = [];  // of /poll

const answers = {
  // The body comes back as it comes in, chunked, with a trailer that says how much it was.
  '/echo': (request, response) => {
    let size = 0;
    response.writeHead(200, {'Content-Type': 'application/octet-stream', 'Trailer': 'X-Size'});
    request.on('data', (piece) => {
      size += piece.length;
      if (!response.write(piece)) {
        request.pause();
        response.once('drain', () => request.resume());
      }
    });
    request.on('end', () => {
      response.addTrailers({'X-Size': String(size)});
      response.end();
    });
  },
  // How much came, once it has.
  '/count': (request, response) => {
    let size = 0;
    request.on('data', (piece) => { size += piece.length; });
    request.on('end', () => response.end(JSON.stringify({size, trailers: request.trailers, headers: request.headers})));
  },
  // An event; the next when the visitor has asked for /next.
  '/events': (request, response) => {
    response.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache'});
    let number = 0;
    const say = () => {
      response.write(`id: ${number}\ndata: event ${number}\n\n`);
      number += 1;
      if (number === 5) response.end();
    };
    waiting.push(say);
    say();
  },
  '/next': (request, response) => {
    const say = waiting[waiting.length - 1];
    response.end('ok');
    say();
  },
  // Answers when somebody asks for /wake.
  '/poll': (request, response) => { waiting.push(() => response.end('woken')); },
  '/wake': (request, response) => {
    const answer = waiting.pop();
    response.end(answer ? 'ok' : 'nobody');
    if (answer) answer();
  },
  // Before the body was read, which it never is.
  '/early': (request, response) => {
    response.writeHead(413, {'Content-Type': 'text/plain'});
    response.end('too much');
  },
  '/gzip': (request, response) => {
    response.writeHead(200, {'Content-Type': 'text/plain', 'Content-Encoding': 'gzip', 'ETag': '"gz"'});
    response.end(zlib.gzipSync(PLAIN));
  },
  '/hints': (request, response) => {
    response.writeEarlyHints({link: '</style.css>; rel=preload; as=style'});
    response.end('hinted');
  },
};

const server = http.createServer({keepAliveTimeout: 60000}, (request, response) => {
  const answer = answers[request.url.split('?')[0]];
  if (answer) return answer(request, response);
  response.writeHead(404);
  response.end();
});
// Says no to what is announced as more to count than 1 MB, and asks for the rest.
server.on('checkContinue', (request, response) => {
  if (request.url === '/count' && Number(request.headers['content-length']) > 1000000) {
    response.writeHead(413);
    return response.end('not that much');
  }
  response.writeContinue();
  server.emit('request', request, response);
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({event: 'ready', port: server.address().port})));
