-- The wheel's Postgres has no pgcrypto. These are the functions that our SQL calls, made of the core's
-- SHA-2 and strong random numbers. Other algorithms are refused by name.

create function digest(data bytea, type text) returns bytea
language plpgsql immutable strict parallel safe as $$
begin
    if lower(type) not in ('md5', 'sha224', 'sha256', 'sha384', 'sha512') then
        raise exception 'Cannot use "%": no such hash algorithm in the embedded pgcrypto', type;
    end if;
    return case lower(type)
        when 'sha224' then pg_catalog.sha224(data)
        when 'sha256' then pg_catalog.sha256(data)
        when 'sha384' then pg_catalog.sha384(data)
        when 'sha512' then pg_catalog.sha512(data)
        when 'md5' then pg_catalog.decode(pg_catalog.md5(data), 'hex')
    end;
end
$$;

create function digest(data text, type text) returns bytea
language sql immutable strict parallel safe
return digest(convert_to(data, 'UTF8'), type);

-- RFC 2104: H((K ^ opad) || H((K ^ ipad) || text)), block size 64 octets up to SHA-256 and 128 above.
create function hmac(data bytea, key bytea, type text) returns bytea
language plpgsql immutable strict parallel safe as $$
declare
    block int := case lower(type) when 'sha384' then 128 when 'sha512' then 128 else 64 end;
    ipad bytea;
    opad bytea;
begin
    if lower(type) not in ('md5', 'sha224', 'sha256', 'sha384', 'sha512') then
        raise exception 'Cannot use "%": no such hash algorithm in the embedded pgcrypto', type;
    end if;
    if length(key) > block then
        key := @extschema@.digest(key, type);
    end if;
    key := key || decode(repeat('00', block - length(key)), 'hex');
    ipad := key;
    opad := key;
    for i in 0 .. block - 1 loop
        ipad := set_byte(ipad, i, get_byte(key, i) # 54);
        opad := set_byte(opad, i, get_byte(key, i) # 92);
    end loop;
    return @extschema@.digest(opad || @extschema@.digest(ipad || data, type), type);
end
$$;

create function hmac(data text, key text, type text) returns bytea
language sql immutable strict parallel safe
return hmac(convert_to(data, 'UTF8'), convert_to(key, 'UTF8'), type);

create function gen_random_bytes(count int) returns bytea
language plpgsql volatile strict parallel safe as $$
declare
    drawn bytea := '';
begin
    if count < 1 or count > 1024 then
        raise exception 'Length not in range';
    end if;
    -- A version 4 uuid holds 122 strong random bits; hashing two yields a full 256.
    while length(drawn) < count loop
        drawn := drawn || sha256(uuid_send(pg_catalog.gen_random_uuid()) || uuid_send(pg_catalog.gen_random_uuid())
                                 || uuid_send(pg_catalog.gen_random_uuid()));
    end loop;
    return substring(drawn from 1 for count);
end
$$;
