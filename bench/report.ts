import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';

/** What was measured: printed line by line for people, and written as one JSON line per figure. */
export type Report = {
  /** Begins a scenario. */
  title(scenario: string, text: string): void;
  figure(figure: FigureInput): void;
  note(text: string): void;
  /** The median of a figure that this run has measured already. */
  median(scenario: string, name: string): number | undefined;
  /** Writes all figures, and says where. */
  write(): string;
};

export type FigureInput = {
  name: string;
  unit: string;
  /** One value per round. */
  values: number[];
  target?: { atLeast: number } | { atMost: number };
};

type Figure = {
  scenario: string;
  name: string;
  unit: string;
  median: number;
  min: number;
  max: number;
  rounds: number[];
  target: string | null;
  met: boolean | null;
};

export function createReport(print: (line: string) => void): Report {
  const startedAt = new Date();
  const loadAtStart = loadavg()[0] ?? 0;
  const figures: Figure[] = [];
  let scenario = '';

  print(
    `node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}), load average ${loadAtStart.toFixed(2)}`,
  );

  return {
    title(name, text) {
      scenario = name;
      print(`\n${name}: ${text}`);
    },
    figure({ name, unit, values, target }) {
      const sorted = Float64Array.from(values).toSorted();
      const [median, min, max] = [percentile(sorted, 50), percentile(sorted, 0), percentile(sorted, 100)];
      const wanted = target && ('atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`);
      const met = target && ('atLeast' in target ? median >= target.atLeast : median <= target.atMost);
      figures.push({
        scenario,
        name,
        unit,
        median,
        min,
        max,
        rounds: values,
        target: wanted ?? null,
        met: met ?? null,
      });
      const range = values.length > 1 ? `(${show(min)}–${show(max)}, n=${values.length})` : '';
      const verdict = wanted ? `target ${wanted}: ${met ? 'met' : 'MISSED'}` : '';
      print(
        `  ${name.padEnd(52)} ${show(median).padStart(9)} ${unit.padEnd(10)} ${range.padEnd(28)} ${verdict}`.trimEnd(),
      );
    },
    note: (text) => print(`  ${text}`),
    median: (of, name) => figures.find((figure) => figure.scenario === of && figure.name === name)?.median,
    write() {
      const path = join(tmpdir(), `signal-intercom-bench-${startedAt.toISOString().replaceAll(/[:.]/g, '-')}.jsonl`);
      const machine = {
        node: process.version,
        cores: availableParallelism(),
        loadAtStart,
        startedAt: startedAt.toISOString(),
      };
      writeFileSync(path, figures.map((figure) => `${JSON.stringify({ ...figure, ...machine })}\n`).join(''));
      return path;
    },
  };
}

/** Nearest rank; of values in rising order. 50 of an even number is the lower middle. */
export function percentile(sorted: Float64Array, percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}

function show(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
