select 'cron job', j.jobname, j.jobname, concat_ws(' ', j.schedule, j.command, case when j.active then 'active' else 'paused' end),
       format('select cron.schedule(%L, %L, %L)', j.jobname, j.schedule, j.command), null, true
from cron.job j where j.jobname like 'soundscape%'
