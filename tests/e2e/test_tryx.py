import time
def test_x(ras, ras_topics, store):
    for r in ('project','ingest','publish'):
      for i in range(3):
        t=time.time(); p=ras.start(r); print(r, 'started',time.time()-t)
        p.wait_until_ready()
        print('ready',time.time()-t)
        t=time.time(); p.kill(); print('kill', time.time()-t)
