select 'permission', format('of %s: %s', p.role, p.permission), array['public.role_permissions'], 'given',
       format('insert into public.role_permissions (role, permission) values (%L, %L) on conflict do nothing', p.role,
           p.permission),
       format('delete from public.role_permissions where (role, permission) = (%L, %L)', p.role, p.permission),
       format('(%L, %L)', p.role, p.permission), null, p.xmin = (select transaction from present)
from public.role_permissions p
