-- To schedule a job anew leaves it paused when it was.
select 'cron job', j.jobname::text, array['soundscape'], concat_ws(' ', j.schedule, j.command,
           case when j.active then 'active' else 'paused' end),
       format('select cron.unschedule(jobid) from cron.job where jobname = %1$L; '
              'select cron.schedule(%1$L, %2$L, %3$L)', j.jobname, j.schedule, j.command),
       null, j.jobname::text, null, j.xmin = (select transaction from present)
from cron.job j where j.jobname like 'soundscape%'
