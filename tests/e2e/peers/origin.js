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

// What a browser does here, it says in one report.
const PAGE = `<!doctype html><title>peers</title><script>
async function all() {
  const told = {};
  const big = 'x'.repeat(200000);
  told.echo = (await (await fetch('/echo', {method: 'POST', body: big})).text()) === big;
  told.gzip = (await (await fetch('/gzip')).text()).length;
  told.early = (await fetch('/early', {method: 'POST', body: 'a'})).status;
  told.many = (await Promise.all([...Array(40).keys()].map((i) => fetch('/count?' + i).then((r) => r.json())))).length;
  told.events = await new Promise((done, failed) => {
    const seen = [];
    const source = new EventSource('/events');
    source.onmessage = (event) => {
      seen.push(event.data);
      if (seen.length === 5) { source.close(); done(seen); } else { fetch('/next'); }
    };
    source.onerror = () => failed(new Error('events'));
  });
  const socket = new URLSearchParams(location.search).get('socket');
  told.socket = await new Promise((done, failed) => {
    const open = new WebSocket(socket);
    const seen = [];
    open.onopen = () => open.send('from the browser');
    open.onmessage = (event) => { seen.push(event.data); if (seen.length === 2) { open.close(); done(seen); } };
    open.onerror = () => failed(new Error('socket'));
  });
  told.spoken = [...new Set(performance.getEntriesByType('resource').map((entry) => entry.nextHopProtocol))];
  return told;
}
all().catch((error) => ({error: String(error)})).then((told) => fetch('/report', {method: 'POST', body: JSON.stringify(told)}));
</script>`;
answers['/page'] = (request, response) => {
  response.writeHead(200, {'Content-Type': 'text/html'});
  response.end(PAGE);
};
answers['/report'] = (request, response) => {
  let text = '';
  request.on('data', (piece) => { text += piece; });
  request.on('end', () => {
    console.log(JSON.stringify({event: 'report', told: JSON.parse(text)}));
    response.end('ok');
  });
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
