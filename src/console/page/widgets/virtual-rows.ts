import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

const spareRows = 8;

/** Which rows of a long list of rows of one height are in sight, so that only those are in the document. */
export function useVirtualRows(count: number, rowHeight: number) {
  const box = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const look = (): void => setScroll({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, []);
  const from = Math.max(0, Math.floor(scroll.top / rowHeight) - spareRows);
  const to = Math.min(count, Math.ceil((scroll.top + scroll.height) / rowHeight) + spareRows);
  return { box, from: Math.min(from, Math.max(0, count - 1)), to, top: scroll.top, height: scroll.height };
}

/** Whether the page is narrow, as the style sheet sees it. */
export function useNarrow(query: string): boolean {
  const [media] = useState(() => matchMedia(query));
  const [isNarrow, setNarrow] = useState(media.matches);
  useEffect(() => {
    const look = (): void => setNarrow(media.matches);
    media.addEventListener('change', look);
    return () => media.removeEventListener('change', look);
  }, [media]);
  return isNarrow;
}
