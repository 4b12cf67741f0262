import time,os,signal
def test_x(ras, ras_topics, store):
    p=ras.start('project'); p.wait_until_ready(); time.sleep(8)
