// One line per file and top-level test, every failure in full, and 'N passed, N failed' as the last line.
import { Transform } from 'node:stream';
import { Parser } from 'tap-parser';

export default class Reporter extends Transform {
  #parser = new Parser();
  #counts = { passed: 0, failed: 0, skipped: 0 };

  constructor() {
    super({ encoding: 'utf8' });
    this.#watch(this.#parser, []);
  }

  #watch(parser, path) {
    // The assertion that follows a subtest sums it up: it counts only when it tells something that no other did.
    let subtest;
    let failedBefore = 0;
    parser.on('child', (child) => {
      subtest = child;
      failedBefore = this.#counts.failed;
      this.#watch(child, [...path, child.name]);
    });
    if (path.length === 0) parser.on('extra', (text) => this.push(text));
    parser.on('assert', (result) => {
      const failed = !result.ok && !result.todo && !result.skip;
      const isSum = subtest !== undefined;
      const crashed = isSum && failed && this.#counts.failed === failedBefore;
      subtest = undefined;
      if (result.skip || result.todo) this.#counts.skipped += 1;
      else if (!isSum || crashed) this.#counts[result.ok ? 'passed' : 'failed'] += 1;
      if (failed && (!isSum || crashed)) this.push(describe([...path, result.name].join(' > '), result.diag ?? {}));
      else if (isSum && path.length <= 1)
        this.push(
          `${'  '.repeat(path.length)}${result.ok ? 'ok' : 'not ok'} ${result.name} ${Math.round(result.time ?? 0)} ms\n`,
        );
    });
  }

  _transform(chunk, _encoding, done) {
    this.#parser.write(chunk);
    done();
  }

  _flush(done) {
    this.#parser.end();
    const { passed, failed, skipped } = this.#counts;
    this.push(`\n${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}\n`);
    done();
  }
}

function describe(name, { diff, at, stack, ...rest }) {
  const place = at ? ` (${at.fileName}:${at.lineNumber})` : '';
  return `not ok ${name}${place}\n${diff ?? JSON.stringify(rest)}\n${stack ?? ''}\n`;
}
