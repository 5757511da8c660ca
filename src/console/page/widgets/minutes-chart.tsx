import './minutes-chart.css';
import 'uplot/dist/uPlot.min.css';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Minute } from '../service/overview.ts';
import { themeChanges } from '../shell/theme.ts';
import { count } from './time.tsx';

export type Series = { key: Exclude<keyof Minute, 'atMs'>; label: string; colour: string };

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });

/** The last hour, a bar per minute, its parts on top of each other. The legend tells the minute that is pointed at. */
export function MinutesChart({
  minutes,
  series,
  title,
  height,
}: {
  minutes: readonly Minute[];
  series: readonly Series[];
  title: string;
  height: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const data = useMemo(() => stack(minutes, series), [minutes, series]);
  const newest = useRef(data);
  newest.current = data;

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const chart = new uPlot(options(element, series, height, setPointed), newest.current, element);
    plot.current = chart;
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [themeChanges.value, series, height]); // it reads its colours but once

  useEffect(() => plot.current?.setData(data), [data]);

  const shown = pointed === null ? undefined : minutes[pointed];
  const total = (key: Series['key']): number => minutes.reduce((sum, minute) => sum + minute[key], 0);
  return (
    <figure class="minutes-chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-when muted">{shown ? clock.format(shown.atMs) : 'last hour'}</span>
        <span class="chart-legend">
          {series.map(({ key, label, colour }) => (
            <span key={key}>
              <span class={`swatch ${colour}`} aria-hidden="true" />
              {label} <b>{count(shown ? shown[key] : total(key))}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} class="chart-canvas" role="img" aria-label={describe(title, minutes, series)} />
    </figure>
  );
}

/** uPlot draws series over each other: the whole first, then the whole without its last part, and so on. */
function stack(minutes: readonly Minute[], series: readonly Series[]): uPlot.AlignedData {
  const sums = series.map((_, last) =>
    minutes.map((minute) => series.slice(0, last + 1).reduce((sum, { key }) => sum + minute[key], 0)),
  );
  return [minutes.map(({ atMs }) => atMs / 1000), ...sums.toReversed()];
}

function options(
  element: HTMLElement,
  series: readonly Series[],
  height: number,
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const font = `11px ${style.fontFamily}`;
  const axis = { stroke: colour('muted'), font, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.72, 14], radius: 0.15 });
  return {
    width: element.clientWidth,
    height,
    padding: [6, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_, min, max) => [min - 30, max + 30] },
      y: { range: (_, _min, max) => [0, Math.max(4, max * 1.08)] },
    },
    axes: [
      {
        ...axis,
        size: 22,
        gap: 4,
        space: 70,
        grid: { show: false },
        values: (_, at) => at.map((s) => clock.format(s * 1000)),
      },
      {
        ...axis,
        size: 44,
        gap: 6,
        space: 32,
        grid: { stroke: colour('line'), width: 1 },
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6],
        values: (_, at) => at.map((value) => (value >= 10_000 ? `${count(value / 1000)}k` : count(value))),
      },
    ],
    series: [
      {},
      ...series.toReversed().map(({ label, colour: name }) => ({
        label,
        ...(bars && { paths: bars }),
        fill: colour(`${name}-fill`),
        width: 0,
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [(chart) => onPoint(chart.cursor.idx ?? null)] },
  };
}

function describe(title: string, minutes: readonly Minute[], series: readonly Series[]): string {
  const totals = series.map(
    ({ key, label }) => `${count(minutes.reduce((sum, minute) => sum + minute[key], 0))} ${label.toLowerCase()}`,
  );
  const size = (minute: Minute): number => series.reduce((sum, { key }) => sum + minute[key], 0);
  const busiest = minutes.reduce<Minute | null>(
    (best, one) => (best === null || size(one) > size(best) ? one : best),
    null,
  );
  const peak = busiest && size(busiest) > 0 ? `; most at ${clock.format(busiest.atMs)}, ${count(size(busiest))}` : '';
  return `${title}, last hour: ${totals.join(', ')}${peak}`;
}
