import { snakeCase, squash } from './spelling.ts';

/**
 * What Signal's documented events carry, most important first: Intercom ignores the keys after the tenth. Keys match
 * in each spelling (`cartTotal`, `cart_total`). What an event carries beside these comes after them.
 */
const product = words(`
  price value currency name product_name item_name product_id item_id sku quantity category item_category
  brand item_brand variant item_variant url image_url coupon position list_id item_list_name products product_count`);
const productList = words(`
  item_list_name list_name list_id item_list_id category value currency products product_count filters sorts`);
const search = words('query search_term search_query category results results_count');
const cart = words('value cart_total total revenue subtotal currency cart_id products product_count coupon discount');
const checkout = words(`
  value total revenue cart_total currency order_id checkout_id cart_id products product_count coupon
  payment_method payment_type shipping_method shipping_tier step shipping tax discount subtotal`);
const order = words(`
  value currency order_id products product_count coupon tax shipping discount payment_method payment_type
  subtotal affiliation`);
const promotion = words(`
  name promotion_name promotion_id creative creative_name creative_slot position coupon products product_count`);
const account = words(`
  value revenue price mrr currency method plan plan_name plan_id trial_length_days referral_code invited_by`);
const application = words('version build previous_version previous_build from_background');

const rows: [names: string, keys: readonly string[]][] = [
  ['Product Viewed, view_item, Product Clicked, select_item', product],
  ['Product Added, add_to_cart, Product Removed, remove_from_cart', product],
  ['Product Added To Wishlist, add_to_wishlist', product],
  ['Product List Viewed, view_item_list, Product List Filtered', productList],
  ['Products Searched, product_searched, search, view_search_results', search],
  ['Cart Viewed, view_cart', cart],
  ['Checkout Started, begin_checkout, Checkout Step Viewed, Checkout Step Completed', checkout],
  ['Payment Info Entered, add_payment_info, add_shipping_info', checkout],
  ['Promotion Viewed, view_promotion, Promotion Clicked, select_promotion', promotion],
  ['Signed Up, sign_up, Logged In, login, Logged Out, Password Reset Requested', account],
  ['Trial Started, Trial Converted, Trial Ended, Lead Generated, generate_lead', account],
  ['Application Installed, Application Updated, Application Opened, Application Backgrounded', application],
];
const orderNames = 'Order Completed, purchase, Order Updated, Order Refunded, refund, Order Cancelled';

export type KnownEvent = {
  /** An order has one amount, whichever of `total`, `revenue` and `value` the sender calls it. */
  isOrder: boolean;
  /** Position of each key, in its squashed spelling. */
  ranks: ReadonlyMap<string, number>;
};

const pageKeys = words('url title path referrer name search');

export const pageEvent: KnownEvent = { isOrder: false, ranks: rank(pageKeys) };
export const unknownEvent: KnownEvent = { isOrder: false, ranks: new Map() };

const catalog: ReadonlyMap<string, KnownEvent> = new Map(
  [...rows, [orderNames, order] as const].flatMap(([names, keys]) => {
    const known: KnownEvent = { isOrder: names === orderNames, ranks: rank(keys) };
    return names.split(', ').map((name): [string, KnownEvent] => [snakeCase(name), known]);
  }),
);

/** The event in any of Signal's three vocabularies, by its name in snake_case. */
export function knownEvent(snakeName: string): KnownEvent {
  return catalog.get(snakeName) ?? unknownEvent;
}

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

function rank(keys: readonly string[]): ReadonlyMap<string, number> {
  return new Map(keys.map((key, index) => [squash(key), index]));
}
