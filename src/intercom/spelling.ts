/** Senders use few names and keys, and respelling them is half of what mapping an event would cost. */
const mostRemembered = 5000;
/** A name may be as long as an event. */
const longestRemembered = 64;

/** 'Product Viewed', 'productViewed', 'product-viewed' and 'PRODUCT VIEWED' are all product_viewed. */
export const snakeCase = remember((text) =>
  text
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1_$2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1_$2')
    .replace(/[^\p{L}\p{N}\p{M}]+/gu, '_')
    .replace(/^_|_$/g, '')
    .toLowerCase(),
);

/** The same for orderId, order_id, order-id and 'Order ID', to find a key in whatever spelling it came. */
export const squash = remember((key) => key.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ''));

function remember(respell: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const spelling = respell(text);
    if (known.size === mostRemembered) known.clear();
    if (text.length <= longestRemembered) known.set(text, spelling);
    return spelling;
  };
}
