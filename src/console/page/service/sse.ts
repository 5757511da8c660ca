/** One message of a stream of server-sent events (WHATWG HTML, 9.2.6). */
export type Message = { id: string; event: string; data: string };

/** Takes the stream's text in pieces, cut anywhere, and gives the messages that each piece completes. */
export function createSseParser(): (piece: string) => Message[] {
  let rest = '';
  let id = '';
  let event = '';
  let data: string[] = [];

  return (piece) => {
    const messages: Message[] = [];
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) messages.push({ id, event: event === '' ? 'message' : event, data: data.join('\n') });
        event = '';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue; // a comment, which keeps the connection alive
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
      if (field === 'id') id = value;
      else if (field === 'event') event = value;
      else if (field === 'data') data.push(value);
    }
    return messages;
  };
}
