/**
 * Makes orders: always the same ones. `node examples/order-fulfilment/make-orders.ts 1000 > orders.jsonl`
 *
 * Of 1,000 orders about 60 have a card that is always declined, 50 one that works only at the third try, and 120 need
 * approval; of those about a quarter will be refused, and for one in six the approval never comes.
 */
import { type Currency, needsApproval, type Order } from "./order.ts";
import { Seeded } from "./outside/seeded.ts";

interface Place {
  readonly country: string;
  readonly currency: Currency;
  readonly cities: readonly [City, ...City[]];
  readonly streets: readonly [string, ...string[]];
}
type City = readonly [name: string, postcode: string];

const places: readonly [Place, ...Place[]] = [
  {
    country: "DE",
    currency: "EUR",
    cities: [
      ["Berlin", "10115"],
      ["Hamburg", "20095"],
      ["Köln", "50667"],
      ["Leipzig", "04109"],
    ],
    streets: ["Lindenstraße", "Am Markt", "Bahnhofstraße", "Schillerplatz"],
  },
  {
    country: "FR",
    currency: "EUR",
    cities: [
      ["Paris", "75011"],
      ["Lyon", "69002"],
      ["Nantes", "44000"],
    ],
    streets: ["rue des Écoles", "avenue Jean Jaurès", "place de la République"],
  },
  {
    country: "US",
    currency: "USD",
    cities: [
      ["Portland", "97205"],
      ["Chicago", "60614"],
      ["Austin", "78704"],
    ],
    streets: ["Maple Street", "5th Avenue", "Lakeview Drive"],
  },
  {
    country: "GB",
    currency: "GBP",
    cities: [
      ["Leeds", "LS1 4AP"],
      ["Bristol", "BS1 5TR"],
      ["Glasgow", "G2 1DY"],
    ],
    streets: ["Church Road", "Mill Lane", "Station Road"],
  },
  {
    country: "CH",
    currency: "CHF",
    cities: [
      ["Zürich", "8001"],
      ["Bern", "3011"],
    ],
    streets: ["Seestrasse", "Kirchgasse"],
  },
  {
    country: "JP",
    currency: "JPY",
    cities: [
      ["京都市", "600-8216"],
      ["Sapporo", "060-0061"],
    ],
    streets: ["烏丸通", "Ōdōri Nishi"],
  },
];

const givenNames = [
  "Ana",
  "Björn",
  "Chloé",
  "Dmitri",
  "Esra",
  "Femi",
  "Grace",
  "Hugo",
  "Ines",
  "Jun",
  "Kofi",
  "Lucía",
] as const;
const familyNames = [
  "Novák",
  "Müller",
  "Okafor",
  "Martin",
  "Sato",
  "O’Brien",
  "Rossi",
  "Yılmaz",
  "Larsen",
  "Silva",
  "Weber",
] as const;

/** Prices in euro cents; other currencies follow from them roughly. */
const goods = [
  ["CF-101", "Filter coffee, 1 kg", 1_890],
  ["MG-204", "Stoneware mug", 1_450],
  ["KT-310", "Pour-over kettle", 7_900],
  ["GR-415", "Hand grinder", 12_900],
  ["SC-520", "Scale with timer", 4_950],
  ["ES-930", "Espresso machine", 64_900],
] as const;
const perEuroCent: Readonly<Record<Currency, number>> = { EUR: 1, USD: 1.08, GBP: 0.86, CHF: 0.95, JPY: 1.6 };

/** The order with this number, from 1. */
export function makeOrder(number: number): Order {
  const random = new Seeded("order", number);
  const place = random.pick(places);
  const [city, postcode] = random.pick(place.cities);
  const givenName = random.pick(givenNames);
  const familyName = random.pick(familyNames);
  const items = makeItems(random, place.currency);
  const amount = items.reduce((sum, item) => sum + item.quantity * item.unitPrice, 0);
  const card = random.weighted([
    ["visa", 89],
    ["declined", 6],
    ["flaky", 5],
  ]);
  const credit = needsApproval({ amount, currency: place.currency })
    ? random.weighted([
        ["good", 58],
        ["poor", 24],
        ["unknown", 18],
      ])
    : "good";
  return {
    id: `order-${String(number).padStart(5, "0")}`,
    customer: { email: `customer-${random.integer(1, 400)}@example.com`, credit },
    items,
    amount,
    currency: place.currency,
    cardToken: `tok_${card}_${random.integer(0, 0xffff_ffff).toString(16).padStart(8, "0")}`,
    address: {
      name: `${givenName} ${familyName}`,
      street: `${random.pick(place.streets)} ${random.integer(1, 180)}`,
      postcode,
      city,
      country: place.country,
    },
  };
}

function makeItems(random: Seeded, currency: Currency): Order["items"] {
  const lineCount = random.integer(1, 3);
  const firstGood = random.chance(0.11) ? goods.length - 1 : random.integer(0, goods.length - 2);
  return Array.from({ length: lineCount }, (_, index) => {
    const [sku, title, euroCents] =
      goods[index === 0 ? firstGood : (firstGood + index) % (goods.length - 1)] ?? goods[0];
    return {
      sku,
      title,
      quantity: random.integer(1, 2),
      unitPrice: Math.round(euroCents * perEuroCent[currency]),
    };
  });
}

if (import.meta.main) {
  const count = Number(process.argv[2] ?? "1000");
  if (!Number.isInteger(count) || count < 1) throw new Error("usage: make-orders.ts COUNT");
  for (let number = 1; number <= count; number += 1)
    process.stdout.write(`${JSON.stringify(makeOrder(number))}\n`);
}
