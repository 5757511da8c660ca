import { z } from 'zod';
import { checkValue } from './attribute-values.ts';
import type { Scalar } from './contact.ts';
import { isRefusal, ok, refuse, type Refusal, type Reply } from './replies.ts';
import { standardAttributes } from './standard-attributes.ts';
import { ADMIN_ID, type Workspace } from './workspace.ts';

export type Model = 'contact' | 'company';
export type DataType = 'string' | 'integer' | 'float' | 'boolean' | 'date';
export type Attribute = {
  type: 'data_attribute';
  id?: number;
  name: string;
  full_name: string;
  label: string;
  description?: string;
  data_type: DataType;
  options?: string[];
  api_writable: boolean;
  ui_writable: boolean;
  messenger_writable: boolean;
  custom: boolean;
  archived: boolean;
  admin_id?: string;
  created_at?: number;
  updated_at?: number;
  model: Model;
};
export type Attributes = ReturnType<typeof createAttributes>;

/** Documented: 250 custom attributes per workspace. */
const MAX_CUSTOM = 250;
const DATA_TYPES: Record<string, DataType> = {
  string: 'string',
  integer: 'integer',
  float: 'float',
  boolean: 'boolean',
  date: 'date',
  // Accepted when created, but not among the types that a listing may show.
  datetime: 'date',
};

const Options = z.array(z.union([z.string(), z.object({ value: z.string() }).transform(({ value }) => value)]));
const AttributeBody = z.object({
  description: z.string().optional(),
  options: Options.optional(),
  messenger_writable: z.boolean().optional(),
});
const UpdateBody = AttributeBody.extend({ label: z.string().optional(), archived: z.boolean().optional() });

/** Custom attributes: they must exist before a contact or company can carry them, and share one name space. */
export function createAttributes(workspace: Workspace) {
  const byName = new Map<string, Attribute>();

  function create(body: Record<string, unknown>): Reply {
    // The order of these checks follows the documented examples, whose bodies are wrong in more than one way.
    const { model, name } = body;
    if (model !== 'contact' && model !== 'company') {
      return invalid('The Data Attribute model field must be either contact or company');
    }
    if (typeof name !== 'string' || !/^[\p{L}\p{N}\p{Sc}_ -]+$/u.test(name)) {
      return invalid(
        'Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens',
      );
    }
    const dataType = DATA_TYPES[String(body['data_type'])];
    if (dataType === undefined) return invalid("Data Type isn't an option");
    const existing = byName.get(name);
    if (existing) return invalid(taken(existing, model));
    if (standardAttributes[model].some((attribute) => attribute.name.toLowerCase() === name.toLowerCase())) {
      return invalid(`'${name}' is one of our standard attributes. To save this data, use a different name.`);
    }
    const parsed = AttributeBody.safeParse(body);
    if (!parsed.success) return invalid(wrongField(parsed.error));
    const { description, options, messenger_writable: messengerWritable } = parsed.data;
    if (options && options.length < 2) return invalid('The Data Attribute needs at least two options');
    if (byName.size >= MAX_CUSTOM) {
      return refuse(400, 'custom_data_limit_reached', `Cannot have more than ${MAX_CUSTOM} custom attributes`);
    }
    const attribute: Attribute = {
      ...custom(model, name, dataType),
      ...(description !== undefined && { description }),
      ...(options && { options }),
      messenger_writable: messengerWritable ?? false,
    };
    byName.set(name, attribute);
    return ok(attribute);
  }

  function custom(model: Model, name: string, dataType: DataType): Attribute {
    const at = workspace.seconds();
    return {
      id: byName.size + 1,
      type: 'data_attribute',
      name,
      full_name: `custom_attributes.${name}`,
      label: name,
      data_type: dataType,
      api_writable: true,
      ui_writable: false,
      // Documented: false by default from 2.11 on.
      messenger_writable: false,
      custom: true,
      archived: false,
      admin_id: String(ADMIN_ID),
      created_at: at,
      updated_at: at,
      model,
    };
  }

  function update(id: string, body: unknown): Reply {
    const attribute = [...byName.values()].find((candidate) => String(candidate.id) === id);
    if (!attribute) return refuse(404, 'field_not_found', "We couldn't find that data attribute to update");
    const parsed = UpdateBody.safeParse(body);
    if (!parsed.success) return invalid(wrongField(parsed.error));
    const changes = Object.entries(parsed.data).filter(([, value]) => value !== undefined);
    Object.assign(attribute, Object.fromEntries(changes), { updated_at: workspace.seconds() });
    return ok(attribute);
  }

  function list(query: URLSearchParams): Reply {
    const model = query.get('model');
    const withArchived = query.get('include_archived') === 'true';
    const all = [...standardAttributes.contact, ...standardAttributes.company, ...byName.values()];
    const data = all.filter(
      (attribute) => (withArchived || !attribute.archived) && attribute.model === (model ?? attribute.model),
    );
    return ok({ type: 'list', data });
  }

  /** The attribute that may be written and searched, if there is one. */
  function find(model: Model, name: string): Attribute | undefined {
    const attribute = byName.get(name);
    return attribute?.model === model && !attribute.archived ? attribute : undefined;
  }

  /** The values as they are stored, or why the whole write is refused. */
  function check(model: Model, values: Record<string, unknown>): { values: Record<string, Scalar> } | Refusal {
    const checked: Record<string, Scalar> = {};
    for (const [name, value] of Object.entries(values)) {
      const attribute = find(model, name);
      if (!attribute) return invalid(`Custom attribute '${name}' does not exist`);
      const scalar = checkValue(attribute, value);
      if (scalar !== null && typeof scalar === 'object') return scalar;
      checked[name] = scalar;
    }
    return { values: checked };
  }

  return {
    create,
    update,
    list,
    find,
    check,
    /** For attributes that the workspace has from the start. */
    predefine({ model, name, data_type: dataType }: { model: Model; name: string; data_type: string }): void {
      const reply = create({ model, name, data_type: dataType });
      if (isRefusal(reply)) throw new Error(`cannot predefine the ${model} attribute '${name}': ${reply.message}`);
    },
  };
}

function invalid(message: string): Refusal {
  return refuse(400, 'parameter_invalid', message);
}

/** Documented wording: contact data is called "people data". */
function taken(existing: Attribute, model: Model): string {
  const label = { contact: 'people', company: 'company' };
  return `You already have '${existing.name}' in your ${label[existing.model]} data. To save this as new ${label[model]} data, use a different name.`;
}

function wrongField(error: z.ZodError): string {
  const field = String(error.issues[0]?.path[0] ?? 'body');
  return field === 'options' ? "Options isn't an array" : `bad '${field}' parameter`;
}
